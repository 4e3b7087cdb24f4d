"""What a run will cost, and the largest run that a budget pays for: found by running it dry.

A dry run is the strategy itself on states that are None; its costs are the real ones, since no strategy's cost
depends on what the verifier says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from core.search.budget import Cost
from core.search.errors import BadRequest, BeamscopeError
from core.search.events import Failed, RunSpec
from core.search.search import Search
from core.search.strategies.registry import MAX_CANDIDATES, checked_params, get_strategy


class _DryGenerator:
    """The prices of a generator without the generator."""

    def __init__(self, real: Any):
        self.name, self.num_steps, self.step_labels = real.name, real.num_steps, real.step_labels
        self.branching_steps, self.siblings_share = real.branching_steps, real.siblings_share
        self.decode_cost, self.step_cost = real.decode_cost, real.step_cost

    def start(self, prompt: str) -> None:
        return None

    def step(self, states: Sequence[None], seeds: Sequence[int]) -> list[None]:
        return [None] * len(states)

    def preview(self, states: Sequence[None]) -> list[None]:
        return [None] * len(states)

    def freeze(self, state: None) -> bytes:
        return b""


class _DryVerifier:
    def __init__(self, real: Any):
        self.name, self.cost = real.name, real.cost

    def score(self, prompt: str, images: Sequence[None]) -> list[float]:
        return [0.0] * len(images)


def estimate(spec: RunSpec, generator: Any, verifiers: Mapping[str, Any], display: bool = True) -> Cost:
    """All that the run will spend, but for seconds. The budget of the spec is not looked at."""
    dry = {name: _DryVerifier(verifier) for name, verifier in verifiers.items()}
    search = Search(_DryGenerator(generator), dry, replace(spec, budget_flops=None), display=display)
    for event in search.run():
        if isinstance(event, Failed):
            raise BeamscopeError(event.message)
    return replace(search.tree.spent, seconds=0.0)


def fit(spec: RunSpec, generator: Any, verifiers: Mapping[str, Any]) -> RunSpec:
    """The spec with all its parameters: those it leaves open as large as its budget allows.

    Without a budget they take their defaults. With one, the strategy's first open dial is turned up as far as
    the budget goes; only if 1 is still too much does the next open dial give way too.
    Raises BadRequest if a given parameter does not fit (says its cost and the largest that does), or if the
    budget is too small for one image (says the smallest).
    """
    full = replace(spec, params=checked_params(spec.strategy, spec.params, generator.num_steps))
    if spec.budget_flops is None:
        return full
    for dial in _dials(spec, given=False):
        largest = _largest(full, dial, generator, verifiers)
        if largest:
            return _with(full, dial, largest)
        full = _with(full, dial, 1)
    cost = estimate(full, generator, verifiers, display=False).flops
    if cost > spec.budget_flops:
        raise BadRequest(_too_small(spec, full, cost, generator, verifiers))
    return full


def _dials(spec: RunSpec, given: bool) -> list[str]:
    return [dial for dial in get_strategy(spec.strategy).dials if (dial in spec.params) == given]


def _with(spec: RunSpec, dial: str, value: int) -> RunSpec:
    return replace(spec, params={**spec.params, dial: value})


def _largest(spec: RunSpec, dial: str, generator: Any, verifiers: Mapping[str, Any]) -> int:
    """The largest value of the dial within the budget, 0 if there is none. Doubles, then halves the gap."""

    def fits(value: int) -> bool:
        return estimate(_with(spec, dial, value), generator, verifiers, False).flops <= spec.budget_flops

    low, high = 0, 1
    while high <= (top := _top(spec, dial)) and fits(high):
        low, high = high, 2 * high
    high = min(high, top + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _top(spec: RunSpec, dial: str) -> int:
    """The largest value of the dial that its range and the number of candidates allow."""
    strategy = get_strategy(spec.strategy)
    others = math.prod(spec.params[other] for other in strategy.dials if other != dial)
    high = next(param.range.high for param in strategy.params if param.name == dial)
    return min(high, MAX_CANDIDATES // others)


def _too_small(spec: RunSpec, full: RunSpec, cost: float, generator: Any, verifiers: Mapping[str, Any]) -> str:
    given = _dials(spec, given=True)
    sizes = ", ".join(f"{dial} {full.params[dial]}" for dial in get_strategy(spec.strategy).dials)
    fitting = {dial: _largest(full, dial, generator, verifiers) for dial in given}
    remedies = [f"the largest {dial} that fits is {value}" for dial, value in fitting.items() if value]
    if remedies:
        return (
            f"{spec.strategy} with {sizes} costs {gflop(cost)} GFLOP, more than the budget of "
            f"{spec.budget_flops / 1e9:g}: {', '.join(remedies)}"
        )
    for dial in given:
        full = _with(full, dial, 1)
    smallest = estimate(full, generator, verifiers, display=False).flops
    return (
        f"a budget of {spec.budget_flops / 1e9:g} GFLOP is too small for one image: the smallest for "
        f"{spec.strategy} on {spec.generator} is {gflop(smallest)} GFLOP"
    )


def gflop(flops: float) -> str:
    """FLOPs in GFLOP to four digits, rounded up, so that what is advised as a budget suffices."""
    digits = 3 - math.floor(math.log10(flops / 1e9))
    return f"{math.ceil(flops / 1e9 * 10**digits) / 10**digits:.10g}"
