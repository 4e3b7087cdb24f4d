"""Beam search over prefixes: the strategy of the paper."""

from typing import Annotated

from core.search.events import Look
from core.search.primitives import Primitives, Steps
from core.search.schema import Range
from core.search.tree import Node


def beam_search(
    search: Primitives,
    width: Annotated[int, Range(1, 64)] = 3,
    branch: Annotated[int, Range(1, 64)] = 5,
    look: Look = "preview",
) -> Steps[list[Node]]:
    """Keep the `width` best prefixes after every step, each grown `branch` ways (Riise et al. 2025, fig. 2c).

    The first step draws width * branch candidates, as many as every later one.
    """
    root = yield from search.start()
    candidates = yield from search.expand([root], width * branch)
    beam = yield from search.keep(candidates, width, look)
    while not search.finished(beam):
        candidates = yield from search.expand(beam, branch)
        beam = yield from search.keep(candidates, width, look)
    return beam
