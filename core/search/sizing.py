"""What a run will cost, and the largest run that a budget pays for: found by running it dry.

A dry run is the strategy itself on states that are None. Its costs are the real ones, as if no two candidates were
equal: a real run may find some that are, and then spends less. Where the cost depends on what the verifier says, the
dearest of a few dry runs with different scores is taken, and one image more, which such a run keeps back to be able to
finish one if it comes out dearer still.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from random import Random
from typing import Any

from core.search.budget import GIGA, Cost, amount
from core.search.errors import BadRequest, BeamscopeError
from core.search.events import Failed, RunSpec
from core.search.search import Search
from core.search.strategies.registry import MAX_CANDIDATES, checked_params, get_strategy

POOR = -1e6     # a score below every threshold
SCORINGS = 4   # dry runs of a strategy whose cost depends on scores


@dataclass(frozen=True)
class Speeds:
    """FLOPs a second that this machine was seen to reach, by kind of model; see core/speed.py."""

    generator: float
    decoder: float
    verifier: float

    def seconds(self, cost: Cost) -> float:
        return (
            cost.flops_generator / self.generator + cost.flops_decoder / self.decoder
            + cost.flops_verifier / self.verifier + cost.flops_display / max(self.decoder, self.verifier)
        )


class _DryGenerator:
    """The prices of a generator without the generator."""

    def __init__(self, real: Any):
        self._real, self._frozen = real, count()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)   # all that is said of the generator, and none of what it does:

    def start(self, prompt: str) -> None:
        return None

    def thaw(self, prompt: str, data: bytes) -> None:
        return None

    def step(self, states: Sequence[None], seeds: Sequence[int]) -> list[None]:
        return [None] * len(states)

    def renoise(self, states: Sequence[None], step: int, seeds: Sequence[int]) -> list[None]:
        return [None] * len(states)

    def neighbours(self, states: Sequence[None], seeds: Sequence[int], closeness: float) -> list[None]:
        return [None] * len(states)

    def preview(self, states: Sequence[None]) -> list[None]:
        return [None] * len(states)

    def signature(self, states: Sequence[None]) -> list[list[float]]:
        return [[float(i)] for i in range(len(states))]

    def held_bytes(self, states: Sequence[None]) -> int:
        return 0

    def freeze(self, state: None) -> bytes:
        return next(self._frozen).to_bytes(8, "big")   # no two are equal


class _DryVerifier:
    """Says the same of every image, or something by chance, and never that one is good enough."""

    def __init__(self, real: Any, chance: Random | None):
        self.name, self.cost, self.max_batch = real.name, real.cost, real.max_batch
        self.weights_bytes, self.image_bytes = real.weights_bytes, real.image_bytes
        self._chance = chance

    def score(self, prompt: str, images: Sequence[None]) -> list[float]:
        return [POOR + self._chance.gauss(0.0, 1.0) if self._chance else POOR for _ in images]


def estimate(
    spec: RunSpec, generator: Any, verifiers: Mapping[str, Any], display: bool = True, speeds: Speeds | None = None
) -> Cost:
    """The most that the run will spend; seconds where `speeds` are given. The budget of the spec is not looked at."""
    scorings = SCORINGS if get_strategy(spec.strategy).adaptive else 1
    costs = [_dry(spec, generator, verifiers, display, Random(i) if i else None) for i in range(scorings)]
    cost = max(costs, key=lambda cost: cost.flops)
    return replace(cost, seconds=speeds.seconds(cost) if speeds else 0.0, peak_bytes=0)


def _dry(spec: RunSpec, generator: Any, verifiers: Mapping[str, Any], display: bool, chance: Random | None) -> Cost:
    dry = {name: _DryVerifier(verifier, chance) for name, verifier in verifiers.items()}
    unlimited = replace(spec, budget_flops=None, budget_nfe=None, budget_seconds=None, budget_images=None)
    search = Search(_DryGenerator(generator), dry, unlimited, display=display)
    for event in search.run():
        if isinstance(event, Failed):
            raise BeamscopeError(event.message)
    return search.tree.spent + search.insurance


def fit(spec: RunSpec, generator: Any, verifiers: Mapping[str, Any], speeds: Speeds | None = None) -> RunSpec:
    """The spec with all its parameters: those it leaves open as large as its budget allows.

    Without a budget they take their defaults. With one, the strategy's first open dial is turned up as far as
    the budget goes; only if its least value is still too much does the next open dial give way too. A budget of
    seconds is only looked at where `speeds` are given.
    Raises BadRequest if a given parameter does not fit (says its cost and the largest that does), or if the
    budget is too small for one image (says the smallest).
    """
    full = replace(spec, params=checked_params(spec.strategy, spec.params, generator.num_steps))
    if not spec.budget.limits:
        return full
    sizer = _Sizer(spec, lambda spec: estimate(spec, generator, verifiers, display=False, speeds=speeds))
    return sizer.fitted(full)


@dataclass(frozen=True)
class _Sizer:
    """`asked` as the person gave it; `price` what a spec costs."""

    asked: RunSpec
    price: Callable[[RunSpec], Cost]

    def fitted(self, full: RunSpec) -> RunSpec:
        for dial in self._dials(given=False):
            largest = self._largest(full, dial)
            if largest is not None:
                return _with(full, dial, largest)
            full = _with(full, dial, _range(full, dial)[0])
        cost = self.price(full)
        if not self.asked.budget.allows(cost):
            raise BadRequest(self._too_small(full, cost))
        return full

    def _dials(self, given: bool) -> list[str]:
        return [dial for dial in get_strategy(self.asked.strategy).dials if (dial in self.asked.params) == given]

    def _largest(self, spec: RunSpec, dial: str) -> int | None:
        """The largest value of the dial within the budget, None if there is none. Doubles, then halves the gap."""
        lowest, top = _range(spec, dial)

        def fits(value: int) -> bool:
            return self.asked.budget.allows(self.price(_with(spec, dial, value)))

        low, high = lowest - 1, lowest
        while high <= top and fits(high):
            low, high = high, 2 * high
        high = min(high, top + 1)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        return low if low >= lowest else None

    def _too_small(self, full: RunSpec, cost: Cost) -> str:
        given = self._dials(given=True)
        fitting = {dial: self._largest(full, dial) for dial in given}
        remedies = [f"the largest {dial} that fits is {value}" for dial, value in fitting.items() if value is not None]
        sizes = ", ".join(f"{dial} {full.params[dial]}" for dial in get_strategy(full.strategy).dials)
        least = full
        for dial in given:
            least = _with(least, dial, _range(least, dial)[0])
        smallest = self.price(least)
        if not remedies and self.asked.budget.allows(smallest):   # only all of them together are small enough
            together = " and ".join(f"{dial} {least.params[dial]}" for dial in given)
            remedies = [f"with {together} it costs {self._amounts(smallest)}"]
        if remedies:
            return (
                f"{full.strategy} with {sizes} costs {self._amounts(cost)}, more than the budget of "
                f"{self.asked.budget}: {', '.join(remedies)}"
            )
        return (
            f"a budget of {self.asked.budget} is too small for one image: the smallest for "
            f"{full.strategy} on {full.generator} is {self._amounts(smallest)}"
        )

    def _amounts(self, cost: Cost) -> str:
        """The cost in the currencies of the budget."""
        return " and ".join(
            f"{gflop(cost.flops)} GFLOP" if currency == "flops" else amount(currency, getattr(cost, currency))
            for currency in self.asked.budget.limits
        )


def _with(spec: RunSpec, dial: str, value: int) -> RunSpec:
    return replace(spec, params={**spec.params, dial: value})


def _range(spec: RunSpec, dial: str) -> tuple[int, int]:
    """The least and the largest value of the dial that its range and the number of candidates allow."""
    strategy = get_strategy(spec.strategy)
    span = next(param.range for param in strategy.params if param.name == dial)
    if dial not in strategy.candidates(spec.params):
        return int(span.low), int(span.high)
    others = math.prod(strategy.candidates(spec.params, but=dial).values())
    return int(span.low), min(int(span.high), MAX_CANDIDATES // others)


def gflop(flops: float) -> str:
    """FLOPs in GFLOP to four digits, rounded up, so that what is advised as a budget suffices."""
    digits = 3 - math.floor(math.log10(flops / GIGA))
    return f"{math.ceil(flops / GIGA * 10**digits) / 10**digits:.10g}"
