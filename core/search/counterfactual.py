"""What would have kept a pruned candidate, or pruned a kept one: from scores that were computed, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from statistics import fmean

from core.search.tree import RULES, Node, Tree

PAIRS = 3   # changes of a score from step to step that say anything of how much it changes


@dataclass(frozen=True)
class Otherwise:
    """One change that would have reversed a choice for one candidate."""

    width: int | None = None       # with this many kept (at least, of a pruned one; at most, of a kept one)
    verifier: str | None = None    # or with this one as the guide,
    rank: int | None = None        # by which it ranks so; 0 is best


@dataclass(frozen=True)
class Margin:
    """How clear a choice was for one candidate."""

    score: float
    cut: float             # of a pruned one the worst score above the line, of a kept one the best score below it
    noise: float | None    # what a score usually changes by until the next choice; None where too few were seen
    low: float             # of all candidates
    high: float

    @property
    def by(self) -> float:
        """Above the line positive, below it negative."""
        return self.score - self.cut

    @property
    def toss_up(self) -> bool:
        return self.noise is not None and abs(self.by) < self.noise


def rivals(tree: Tree, id: int) -> list[Node]:
    """The candidates of the choice that a node was part of, the verifier's best first.

    Those that a later choice ranked again, as where a walk compares its best so far, belong to that one.
    """
    choice = tree.nodes[id].choice
    found = [node for node in tree.nodes.values() if node.choice == choice and choice is not None]
    return sorted(found, key=lambda node: node.rank)


def is_by_rank(node: Node) -> bool:
    """Whether ranks alone made the choice, but for a person's hand in it."""
    return node.rank is not None and node.score is not None and node.rule not in RULES


def otherwise(tree: Tree, id: int) -> list[Otherwise]:
    """Everything known that would have reversed the verifier's choice for this candidate: first the number kept.

    Observers rank the same candidates by scores that they gave anyway. Empty where ranks did not decide.
    """
    node = tree.nodes[id]
    if not is_by_rank(node):
        return []
    others, above = rivals(tree, id), node.rank < node.keeps
    widths = [Otherwise(width=node.rank if above else node.rank + 1)] if node.rank or not above else []
    by_others = _ranks(tree, node, others) if len(others) == node.of else ()
    return widths + [Otherwise(verifier=name, rank=rank) for name, rank in by_others if (rank < node.keeps) != above]


def _ranks(tree: Tree, node: Node, others: list[Node]) -> Iterator[tuple[str, int]]:
    """(observer, rank by it), by name; equal scores share the better rank."""
    for name in sorted(set(node.scores) - {tree.spec.verifier}):
        yield name, sum(other.scores.get(name, float("-inf")) > node.scores[name] for other in others)


def margin(tree: Tree, id: int) -> Margin | None:
    """None where ranks did not decide, where all candidates were kept, or where the line is not known."""
    node = tree.nodes[id]
    ranked = {other.rank: other.score for other in rivals(tree, id)} if is_by_rank(node) else {}
    cut = ranked.get(node.keeps if ranked and node.rank < node.keeps else (node.keeps or 0) - 1)
    if cut is None:
        return None
    scores = [score for score in ranked.values() if score is not None]
    return Margin(node.score, cut, noise(tree, node.step), min(scores), max(scores))


def noise(tree: Tree, step: int) -> float | None:
    """The standard deviation of what scores at `step` change by until they are next given, the common trend left out.

    At the last step a score is final: 0. Of the newest step, which has nothing below it yet, that of the step before.
    """
    if step == tree.num_steps:
        return 0.0
    for at in (step, step - 1):
        scored = [node for node in tree.nodes.values() if node.step == at and node.score is not None]
        changes = [after.score - node.score for node in scored for after in _next_scored(tree, node)]
        if len(changes) >= PAIRS:
            mean = fmean(changes)
            return sqrt(fmean((change - mean) ** 2 for change in changes))
    return None


def _next_scored(tree: Tree, node: Node) -> Iterator[Node]:
    """The nearest nodes below with a score."""
    todo = tree.children(node.id)
    while todo:
        below = todo.pop()
        if below.score is not None:
            yield below
        else:
            todo += tree.children(below.id)
