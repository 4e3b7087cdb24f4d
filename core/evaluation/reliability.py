"""How far early scores foretell the final ones, and what became of pruned nodes that were gone on from.

Pure functions of stored trees. A run's scores are compared only with each other, by rank: prompts differ in how high
anything scores. What is pooled over runs are their rank correlations, each as heavy as its pairs are many.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean

from core.search.events import Seen
from core.search.tree import Node, Tree

LEAST = 3   # pairs of one run that have a rank correlation worth counting

Pair = tuple[float, float]   # (score at a step, best final score that came of the node)
Pairs = dict[int, list[Pair]]   # of one run, by step


@dataclass(frozen=True)
class AtStep:
    """The rank correlation of scores at one step with final ones."""

    step: int
    label: str
    correlation: float
    error: float | None    # standard error over runs; None for a single run
    runs: int
    pairs: int


@dataclass(frozen=True)
class Regret:
    """A node that a later run went on from: its score then, and what came of it."""

    node: int
    step: int
    label: str             # of the step
    pruned: bool
    look: Seen             # what the verifier saw when it gave the score
    score: float           # when it was pruned or kept
    final: float           # best of the run that went on from it
    winner: float          # of the earlier run's result

    @property
    def value(self) -> float:
        """Positive: pruning the node was a loss."""
        return self.final - self.winner


def pairs_by_step(tree: Tree, look: Seen = "preview") -> Pairs:
    """(score, best final score below) of every unfinished node that was scored by `look` and grew to an image."""
    finals = _best_finals(tree)
    pairs: Pairs = {}
    for node in tree.nodes.values():
        if node.look == look and node.step < tree.num_steps and node.id in finals:
            pairs.setdefault(node.step, []).append((node.score, finals[node.id]))
    return pairs


def with_regrets(pairs: Pairs, regrets: Iterable[Regret], look: Seen = "preview") -> Pairs:
    """The pairs of a run, and those of its pruned nodes that later runs went on from: what would have come of them."""
    more = {step: list(found) for step, found in pairs.items()}
    for one in regrets:
        if one.pruned and one.look == look:
            more.setdefault(one.step, []).append((one.score, one.final))
    return more


def _best_finals(tree: Tree) -> dict[int, float]:
    """By node the best score of a finished image that grew from it."""
    best: dict[int, float] = {}
    for node in reversed(tree.nodes.values()):   # children come after their parents
        if node.step == tree.num_steps and node.score is not None:
            best[node.id] = node.score
        if node.id in best and node.parent is not None:
            best[node.parent] = max(best[node.id], best.get(node.parent, best[node.id]))
    return best


def spearman(pairs: Sequence[Pair]) -> float | None:
    """Rank correlation, ties sharing their mean rank; None for fewer than two or where one side never differs."""
    if len(pairs) < 2:
        return None
    one, other = (_centred(_mean_ranks(column)) for column in zip(*pairs, strict=True))
    size = sqrt(sum(a * a for a in one) * sum(b * b for b in other))
    return sum(a * b for a, b in zip(one, other, strict=True)) / size if size else None


def _mean_ranks(values: Sequence[float]) -> list[float]:
    order = sorted(values)
    first = {value: place for place, value in reversed(list(enumerate(order)))}
    return [first[value] + (order.count(value) - 1) / 2 for value in values]


def _centred(values: Sequence[float]) -> list[float]:
    mean = fmean(values)
    return [value - mean for value in values]


def reliability(runs: Iterable[Pairs], labels: Sequence[str]) -> list[AtStep]:
    """By step, from `pairs_by_step` of every run; steps of which no run says anything are left out.

    labels: of the steps from 1 on.
    """
    found: dict[int, list[tuple[float, int]]] = {}
    for run in runs:
        for step, pairs in run.items():
            correlation = spearman(pairs) if len(pairs) >= LEAST else None
            if correlation is not None and step <= len(labels):
                found.setdefault(step, []).append((correlation, len(pairs)))
    return [_pooled(step, labels[step - 1], found[step]) for step in sorted(found)]


def _pooled(step: int, label: str, runs: Sequence[tuple[float, int]]) -> AtStep:
    weights = [pairs - 1 for _, pairs in runs]
    mean = sum(rho * weight for (rho, _), weight in zip(runs, weights, strict=True)) / sum(weights)
    error = None
    if len(runs) > 1:
        squares = sum((weight * (rho - mean)) ** 2 for (rho, _), weight in zip(runs, weights, strict=True))
        error = sqrt(squares * len(runs) / (len(runs) - 1)) / sum(weights)
    return AtStep(step, label, mean, error, len(runs), sum(pairs for _, pairs in runs))


def regret(parent: Tree, child: Tree) -> Regret | None:
    """What `child` made of the node of `parent` that it went on from; None before it is over, or by another guide."""
    origin, guide = child.spec.origin if child.spec else None, child.spec.verifier if child.spec else None
    node: Node | None = parent.nodes.get(origin.node) if origin else None
    if node is None or child.end is None or child.regret() is None or guide not in node.scores:
        return None
    return Regret(
        node.id, node.step, parent.label(node.step), node.status == "pruned", node.look, node.scores[guide],
        child.best_score(), origin.winner[guide],
    )
