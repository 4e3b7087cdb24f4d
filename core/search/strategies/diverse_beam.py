"""Beam search that does not collapse into one family or into one picture."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated

from core.search.clustering import near_duplicates
from core.search.events import Look
from core.search.primitives import Primitives, Steps
from core.search.schema import Range
from core.search.tree import Node, Tree


def diverse_beam(
    search: Primitives,
    width: Annotated[int, Range(1, 64)] = 4,
    branch: Annotated[int, Range(1, 64)] = 4,
    per_ancestor: Annotated[int, Range(1, 64)] = 2,
    generations: Annotated[int, Range(1, 16)] = 1,
    tolerance: Annotated[float, Range(0, 1)] = 0.1,
    look: Look = "preview",
) -> Steps[list[Node]]:
    """Beam search that keeps few children of one ancestor and one of those that look alike (Li and Jurafsky 2016).

    At most `per_ancestor` survivors come from one node `generations` steps above, the prompt excepted. Of candidates
    nearer than `tolerance` times their usual distance the best stays; at 0 all do.
    """
    root = yield from search.start()
    beam = [root]
    while not search.finished(beam):
        candidates = yield from search.expand(beam, branch if beam[0].parent is not None else width * branch)
        looks = dict(zip((node.id for node in candidates), search.signature(candidates), strict=True))
        choose = partial(_diverse, search.tree, looks, tolerance, per_ancestor, generations)
        beam = yield from search.keep(candidates, width, look, "diverse", choose)
    return beam


def _diverse(
    tree: Tree, looks: Mapping[int, Sequence[float]], tolerance: float, per_ancestor: int, generations: int,
    ranked: Sequence[Node],
) -> list[Node]:
    """The ranked nodes without near duplicates of better ones, and without those that come too often from one line."""
    alike = set(near_duplicates([looks[node.id] for node in ranked], tolerance))
    lines, chosen = Counter(), []
    for node in (node for place, node in enumerate(ranked) if place not in alike):
        path = tree.path(node.id)
        ancestor = path[max(0, len(path) - 1 - generations)]
        if ancestor.parent is None or lines[ancestor.id] < per_ancestor:
            chosen.append(node)
            lines[ancestor.id] += 1
    return chosen
