"""Greedy token optimization: commit to the best of a few candidates at every step."""

from typing import Annotated

from core.search.events import Look
from core.search.primitives import Primitives, Steps
from core.search.schema import Range
from core.search.tree import Node


def greedy_tokens(
    search: Primitives, branch: Annotated[int, Range(1, 64)] = 8, look: Look = "rollout"
) -> Steps[list[Node]]:
    """Keep the best of `branch` candidates at every step (Riise et al. 2025, fig. 2b)."""
    node = yield from search.start()
    beam = [node]
    while not search.finished(beam):
        candidates = yield from search.expand(beam, branch)
        beam = yield from search.keep(candidates, 1, look, rule="greedy")
    return beam
