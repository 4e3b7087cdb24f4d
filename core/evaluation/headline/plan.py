"""What the headline compares, written down before any of it was run: curves, budgets, comparisons, sizes.

All strategies are sized to the same total GFLOP by dry runs, so that none spends more; sizes do not depend on results.
Random search is not run size by size: its curve is computed from one pool of samples a prompt and seed, and every
point of it is charged what a real run of that size, under that verifier alone, would be.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from core.search.budget import GIGA, Budget, Cost
from core.search.errors import BadRequest
from core.search.events import RunSpec
from core.search.sizing import estimate, fit

BUDGETS = (30.0, 60.0, 120.0)  # GFLOP of generator, decoder and verifier
VERIFIERS = ("image_reward", "judge", "clip_score")
GENERATORS = ("emoji-ar", "emoji-flow-sde")  # the flow model's better sampler on dev, alone and under each strategy
PROMPT = "a cat"  # of dry runs: prices do not depend on it
MOST = 256  # samples in a pool


@dataclass(frozen=True)
class Line:
    """A curve: a strategy on a generator.

    `least` are the sizes below which a strategy would be another one: a beam of width 1 is greedy, one candidate is no
    choice. Where two sizes are open, `shape` is how many times the first the second should be, as near as fits.
    """

    generator: str
    strategy: str
    look: str | None = None
    least: tuple[tuple[str, int], ...] = ()
    shape: float | None = None

    @property
    def name(self) -> str:
        return f"{self.generator} {self.strategy}" + (f" ({self.look})" if self.look else "")


AR_RANDOM, FLOW_RANDOM = (Line(name, "random_search") for name in GENERATORS)
GREEDY = Line(GENERATORS[0], "greedy_tokens", "rollout", (("branch", 2),))
BEAM_PREVIEW, BEAM_ROLLOUT = (
    Line(GENERATORS[0], "beam_search", look, (("width", 2), ("branch", 2)), 5 / 3) for look in ("preview", "rollout")
)  # the shape of the paper's 3 x 5
ZERO_ORDER = Line(GENERATORS[1], "zero_order", least=(("rounds", 1),))
PATHS = Line(GENERATORS[1], "search_over_paths", least=(("paths", 1), ("branch", 1)), shape=3 / 2)
POOLS = (AR_RANDOM, FLOW_RANDOM)
SEARCHES = (GREEDY, BEAM_PREVIEW, BEAM_ROLLOUT, ZERO_ORDER, PATHS)


@dataclass(frozen=True)
class Comparison:
    """`first` minus `second` in strict score; of several lines on a side the best counts, whichever it turns out."""

    name: str
    first: Line
    second: tuple[Line, ...]
    verifier: str = "image_reward"
    other: str | None = None  # the verifier of the second side, if it is another


COMPARISONS = (
    Comparison("beam search by rollouts against best of n", BEAM_ROLLOUT, (AR_RANDOM,)),
    Comparison("beam search by previews against best of n", BEAM_PREVIEW, (AR_RANDOM,)),
    Comparison("best of n: next-scale model against diffusion", AR_RANDOM, (FLOW_RANDOM,)),
    Comparison("beam search by rollouts against the best diffusion strategy", BEAM_ROLLOUT,
               (FLOW_RANDOM, ZERO_ORDER, PATHS)),
    Comparison("beam search by rollouts against best of n, by the judge", BEAM_ROLLOUT, (AR_RANDOM,), "judge"),
    Comparison("best of n: the judge against image_reward", AR_RANDOM, (AR_RANDOM,), "judge", "image_reward"),
)  # fmt: skip
"""All that is tested, at the largest budget, corrected for their number (Holm). Everything else is exploratory."""
assert len(COMPARISONS) <= 6


@dataclass(frozen=True)
class Setting:
    """A search to be run on every prompt and seed."""

    line: Line
    verifier: str
    budget: float  # GFLOP
    spec: RunSpec  # all but prompt and seed
    cost: Cost  # the most that a run will spend

    @property
    def name(self) -> str:
        return f"{self.line.name} by {self.verifier} at {self.budget:g} GFLOP"


@dataclass(frozen=True)
class Plan:
    """The settings that fit their budgets, why the others do not, and the pools."""

    budgets: tuple[float, ...]
    verifiers: tuple[str, ...]
    settings: tuple[Setting, ...]
    refused: Mapping[str, str]  # setting's name -> why
    sizes: Mapping[str, int]  # generator -> samples in a pool
    prices: Mapping[tuple[str, str], tuple[Cost, ...]]  # (generator, verifier) -> of best of 1, 2, ..., in a run

    @property
    def generators(self) -> tuple[str, ...]:
        return tuple(self.sizes)


def planned(
    generators: Mapping[str, Any], verifiers: Mapping[str, Any], budgets: Sequence[float] = BUDGETS,
    lines: Sequence[Line] = SEARCHES,
) -> Plan:  # fmt: skip
    """Sizes for every line, verifier and budget. Raises BadRequest if the largest budget pays for no single image."""
    budgets = tuple(sorted(budgets))
    settings, refused = [], {}
    for verifier, line, budget in product(verifiers, lines, budgets):
        spec = RunSpec(PROMPT, line.generator, line.strategy, {}, verifier).with_budget(Budget(flops=budget * GIGA))
        try:
            spec = sized(spec, line, generators[line.generator], verifiers)
        except BadRequest as reason:
            refused[f"{line.name} by {verifier} at {budget:g} GFLOP"] = str(reason)
            continue
        settings.append(Setting(line, verifier, budget, spec, _price(spec, generators, verifiers)))
    sizes = {name: max(_most(name, v, budgets[-1], generators, verifiers) for v in verifiers) for name in generators}
    prices = {(name, v): tuple(_price(_best_of(name, v, n), generators, verifiers) for n in range(1, size + 1))
              for name, size in sizes.items() for v in verifiers}  # fmt: skip
    return Plan(budgets, tuple(verifiers), tuple(settings), refused, sizes, prices)


def _price(spec: RunSpec, generators: Mapping[str, Any], verifiers: Mapping[str, Any]) -> Cost:
    return estimate(spec, generators[spec.generator], verifiers, display=False)


def _best_of(generator: str, verifier: str, n: int) -> RunSpec:
    return RunSpec(PROMPT, generator, "random_search", {"n": n}, verifier)


def _most(name: str, verifier: str, budget: float, generators: Mapping, verifiers: Mapping) -> int:
    """Samples that a pool needs so that the curve reaches the budget."""
    spec = replace(_best_of(name, verifier, 1), params={}).with_budget(Budget(flops=budget * GIGA))
    n = fit(spec, generators[name], verifiers).params["n"]
    return min(MOST, n + 1)


def sized(spec: RunSpec, line: Line, generator: Any, verifiers: Mapping[str, Any]) -> RunSpec:
    """The spec with sizes as large as its budget allows. Raises BadRequest if the least are too much."""
    params = ({"look": line.look} if line.look else {}) | _settled(line, generator.num_steps)
    least = dict(line.least)
    if line.shape is None:
        return _at_least(fit(replace(spec, params=params), generator, verifiers), least)
    first, second = least
    best, nearest = None, math.inf
    for size in range(least[first], MOST):  # the wider, the fewer branches fit: the shape comes nearer, then goes away
        try:
            shape = _at_least(fit(replace(spec, params=params | {first: size}), generator, verifiers), least)
        except BadRequest:
            if best is None:
                raise
            break
        away = abs(math.log(shape.params[second] / size / line.shape))
        if away >= nearest:
            break
        best, nearest = shape, away
    return best


def _settled(line: Line, num_steps: int) -> dict[str, int]:
    """What is not for the budget to decide: two neighbours a round (Ma et al. 2025), and where paths go back and forth.

    They begin at two thirds of the steps and go back by five twelfths, gaining a sixth: 5, 3 and 1 of 8.
    """
    if line.strategy == ZERO_ORDER.strategy:
        return {"neighbours": 2}
    if line.strategy == PATHS.strategy:
        return {"start": max(2, round(num_steps * 2 / 3)), "jump": max(1, round(num_steps * 5 / 12)),
                "gain": max(1, round(num_steps / 6))}  # fmt: skip
    return {}


def _at_least(spec: RunSpec, least: Mapping[str, int]) -> RunSpec:
    for name, size in least.items():
        if spec.params[name] < size:
            raise BadRequest(f"{spec.budget} pay for {name} {spec.params[name]}; the least that is a choice is {size}")
    return spec


# Random search at a price


def at(flops: float, prices: Sequence[Cost]) -> tuple[int, int, float] | None:
    """(n, m, share): best of n, or with probability `share` best of m = n + 1 instead, costs as much on average.

    None where not even one sample is paid for; the largest n of the pool where more would be.
    """
    paid = sum(price.flops <= flops for price in prices)
    if not paid:
        return None
    if paid == len(prices):
        return paid, paid, 0.0
    low, high = prices[paid - 1].flops, prices[paid].flops
    return paid, paid + 1, (flops - low) / (high - low)
