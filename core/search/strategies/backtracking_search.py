"""Depth first, and back from where it leads nowhere."""

from collections.abc import Sequence
from typing import Annotated

from core.search.events import Look
from core.search.primitives import Primitives, Steps
from core.search.schema import Range
from core.search.tree import Node, Tree


def backtracking_search(
    search: Primitives,
    branch: Annotated[int, Range(1, 64)] = 4,
    threshold: Annotated[float, Range(-100, 100)] = 1.0,
    visits: Annotated[int, Range(1, 256)] = 12,
    look: Look = "rollout",
) -> Steps[list[Node]]:
    """Grow the best child while it scores `threshold`, else the best node waiting (DFS of Zhang et al. 2025).

    Over when a finished image scores `threshold` or `visits` nodes have been grown. With rollouts every score is one of
    a finished image, so until the end every visit goes to the best node waiting: best-first search.
    """
    root = yield from search.start()
    node, waiting = root, []
    for _ in range(visits):
        children = yield from search.expand([node], branch)
        search.release([node])
        if not children:   # the root again, of a generator that does not branch there: nothing is left to find
            break
        children = yield from search.score(children, look)
        waiting = [other for other in [*waiting, *children] if other.id != node.id and not search.finished([other])]
        if search.best_score is not None and search.best_score >= threshold:
            break
        node = _next(children, waiting, threshold) or root
    best = _last_with_its_image(search.tree, search.tree.best() or _best(waiting))
    if best.id in {other.id for other in waiting}:   # the image may be a rollout's: the way there is then already made
        yield from search.finish([best])
    yield from _close(search, [other for other in waiting if other.id != best.id])
    return (yield from _result(search))


def _next(children: Sequence[Node], waiting: Sequence[Node], threshold: float) -> Node | None:
    """The best child if it is good enough and unfinished, else the best node that waits, if there is one."""
    first = _best(children)
    if first.score >= threshold and first in waiting:
        return first
    return _best(waiting) if waiting else None


def _best(nodes: Sequence[Node]) -> Node:
    return max(nodes, key=lambda node: (node.score, -node.id))


def _last_with_its_image(tree: Tree, node: Node) -> Node:
    """A rollout's image is found again along first children."""
    first = next(iter(tree.children(node.id)), None)
    return node if first is None else _last_with_its_image(tree, first)


def _close(search: Primitives, waiting: Sequence[Node]) -> Steps[None]:
    """Let go of those whose turn did not come, step by step."""
    for step in sorted({node.step for node in waiting}):
        yield from search.drop([node for node in waiting if node.step == step], "not_needed")


def _result(search: Primitives) -> Steps[list[Node]]:
    """The best of the nodes that were finished, if any was: with rollouts an unfinished one may have the image."""
    finished = [node for node in search.tree.nodes.values() if search.finished([node])]
    return (yield from search.keep(finished, 1, rule="best_of_n")) if finished else [search.tree.best()]
