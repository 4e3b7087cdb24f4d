"""A walk through the space of first noises, and all the search that an ODE sampler allows beyond best of n."""

from typing import Annotated

from core.search.primitives import Primitives, Steps
from core.search.schema import Range
from core.search.tree import Node


def zero_order(
    search: Primitives,
    neighbours: Annotated[int, Range(1, 64)] = 2,
    rounds: Annotated[int, Range(1, 64)] = 6,
    closeness: Annotated[float, Range(-1, 1)] = 0.95,
) -> Steps[list[Node]]:
    """Move to the best of a few near noises as long as one is better (zero-order search, Ma et al. 2025)."""
    root = yield from search.start()
    samples = yield from search.expand([root], 1)
    pivot = yield from search.finish(samples)
    pivot = yield from search.score(pivot)
    for _ in range(rounds):
        near = yield from search.neighbours(pivot, neighbours, closeness)
        images = yield from search.finish(near)
        pivot = yield from search.keep([*pivot, *images], 1, rule="zero_order")
    return pivot
