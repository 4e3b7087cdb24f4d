"""Beam search that decides at every step how many candidates the step is worth."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Annotated

from core.search.events import Look
from core.search.primitives import Primitives, Steps
from core.search.schema import Range
from core.search.tree import Node, Tree

PILOT = 2    # candidates per place in the beam that are drawn before it is decided on more
MOST = 3     # times the average number that one step may draw: memory holds them all at once
DOUBT = 4    # pairs of scores that count as much as the guess before any is seen, one half


def adaptive_beam(
    search: Primitives,
    width: Annotated[int, Range(1, 64)] = 3,
    branch: Annotated[int, Range(1, 64)] = 5,
    look: Look = "preview",
    stop: Annotated[float | None, Range(-100, 100)] = None,
) -> Steps[list[Node]]:
    """Beam search that draws more where candidates differ and scores hold (after Riise et al. 2025, dynamic budget).

    That ablation is known from reviews only, so the rule is ours. `branch` is the average over all steps: a pilot
    shows what further candidates are worth, and what is not drawn is left to later steps. The run is over as soon as
    a finished image scores `stop`.
    """
    root = yield from search.start()
    beam, pilot_size, worths = [root], min(PILOT, branch) * width, []
    left = width * branch * (search.num_steps - root.step)
    while not (search.finished(beam) or _reached(search, stop)):
        pilot = yield from search.expand(beam, _shared_out(pilot_size, len(beam)))
        pilot = yield from search.score(pilot, look)
        worths.append(_spread_of_siblings(pilot) * _reliability(search.tree))
        size = min(_size(left, search.num_steps - beam[0].step, pilot_size, worths), MOST * width * branch)
        further = 0 if _reached(search, stop) else size - pilot_size
        others = yield from search.expand(beam, _shared_out(further, len(beam)))
        left -= len(pilot) + len(others)
        beam = yield from search.keep([*pilot, *others], width, look)
    return beam


def _reached(search: Primitives, stop: float | None) -> bool:
    return stop is not None and search.best_score is not None and search.best_score >= stop


def _shared_out(count: int, places: int) -> list[int]:
    """`count` in parts as equal as can be, the larger ones first."""
    return [count // places + (place < count % places) for place in range(places)]


def _size(left: int, steps_left: int, pilot_size: int, worths: Sequence[float]) -> int:
    """How many candidates to draw at this step: an equal share of those left, by its worth next to the steps so far.

    No fewer than the pilot, and so many that all later steps can have theirs.
    """
    usual = fmean(worths) or 1   # worth nothing, all of them: the pilot will do
    wanted = left / steps_left * worths[-1] / usual
    return max(pilot_size, min(round(wanted), left - pilot_size * (steps_left - 1)))


def _spread_of_siblings(nodes: Sequence[Node]) -> float:
    """The standard deviation of scores among children of one parent, over all parents: what one more can gain."""
    families = _grouped((node.parent, node.score) for node in nodes)
    squares = sum((score - fmean(family)) ** 2 for family in families for score in family)
    return math.sqrt(squares / max(1, len(nodes) - len(families)))


def _reliability(tree: Tree) -> float:
    """How far a parent's score has told its children's in this run: their correlation within a step, from 0 to 1.

    A first child is left out: where candidates are rolled out, its image is its parent's.
    """
    born = [(node, tree.nodes[node.parent]) for node in tree.nodes.values() if node.index]
    steps = _grouped((child.step, (parent.score, child.score)) for child, parent in born
                     if child.score is not None and parent.score is not None)
    pairs = [pair for step in steps for pair in _centred(step)]
    both, ahead, after = (sum(pair[i] * pair[j] for pair in pairs) for i, j in ((0, 1), (0, 0), (1, 1)))
    correlation = both / math.sqrt(ahead * after) if ahead and after else 0.0
    return (len(pairs) * max(0.0, correlation) + DOUBT / 2) / (len(pairs) + DOUBT)


def _grouped(items: Iterable[tuple]) -> list[list]:
    """The values by their keys."""
    groups = defaultdict(list)
    for key, value in items:
        groups[key].append(value)
    return list(groups.values())


def _centred(pairs: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    one, other = (fmean(column) for column in zip(*pairs, strict=True))
    return [(a - one, b - other) for a, b in pairs]
