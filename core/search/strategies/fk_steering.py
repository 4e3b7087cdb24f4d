"""Particles that are weighed by what they promise: Feynman-Kac steering."""

from collections.abc import Sequence
from typing import Annotated, Literal

from core.search.primitives import Primitives, Steps
from core.search.resampling import ess, softmax, spread, systematic
from core.search.schema import Range
from core.search.tree import Node, Tree

Potential = Literal["max", "value", "difference"]


def fk_steering(
    search: Primitives,
    particles: Annotated[int, Range(1, 256)] = 8,
    temper: Annotated[float, Range(0, 100)] = 2.0,
    potential: Potential = "max",
    every: Annotated[int, Range(1, 64)] = 3,
) -> Steps[list[Node]]:
    """Weigh particles by exp(temper * potential), resample when few weigh much (Singhal et al. 2025).

    A choice comes after every `every` steps; particles are resampled where their effective number is below half.
    `temper` counts per standard deviation of the scores at the choice of this run where they differed most, so that
    scores of any scale will do, and particles that have become alike are left alone.
    """
    root = yield from search.start()
    samples = yield from search.expand([root], particles)
    crowd = yield from search.advance(samples, _next_choice(search, samples, every))
    unit, logs = 0.0, [0.0] * len(crowd)
    while not search.finished(crowd):
        crowd = yield from search.score(crowd)
        unit = max(unit, spread([node.score for node in crowd]))
        gains = [_potential(search.tree, node, potential) for node in crowd]
        logs = [log + temper * gain / (unit or 1) for log, gain in zip(logs, gains, strict=True)]
        weights, copies = softmax(logs), [1] * len(crowd)
        if ess(weights) < len(crowd) / 2:
            copies = systematic(weights, len(crowd), search.random("fk", crowd[0].step).random())
            crowd = yield from search.resample(crowd, copies)
            logs = [0.0] * sum(copies)
        children = yield from search.expand(crowd, [node.copies for node in crowd])
        crowd = yield from search.advance(children, _next_choice(search, children, every))
    return (yield from search.keep(crowd, 1, rule="best_of_n"))


def _next_choice(search: Primitives, nodes: Sequence[Node], every: int) -> int:
    """The first step that is a multiple of `every` and not behind the nodes; at most the last one."""
    return min(-(-nodes[0].step // every) * every, search.num_steps)


def _potential(tree: Tree, node: Node, potential: Potential) -> float:
    """What the scores along a node's path say for it; the first difference is the score itself."""
    scores = [above.score for above in tree.path(node.id) if above.score is not None]
    match potential:
        case "max":
            return max(scores)
        case "value":
            return scores[-1]
        case "difference":
            return scores[-1] - (scores[-2] if len(scores) > 1 else 0.0)
