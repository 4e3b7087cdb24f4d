"""Two searches side by side at the same total FLOPs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from core.search.budget import Budget
from core.search.events import Event, RunSpec


def rival(spec: RunSpec, flops: float, generator: str, strategy: str = "random_search") -> RunSpec:
    """Another search, usually best of n, on another generator, its size still to be fitted to `flops`; the rest as
    in `spec`."""
    other = replace(spec, generator=generator, strategy=strategy, params={}, origin=None, chooser="verifier")
    return other.with_budget(Budget(flops=flops))


def race(*lanes: Iterator[Event]) -> Iterator[tuple[int, Event]]:
    """The events of all lanes as (lane, event), always advancing the lane that has spent the fewest FLOPs."""
    spent = dict.fromkeys(range(len(lanes)), 0.0)
    while spent:
        lane = min(spent, key=spent.get)
        event = next(lanes[lane], None)
        if event is None:
            del spent[lane]
        else:
            spent[lane] += event.cost.flops
            yield lane, event
