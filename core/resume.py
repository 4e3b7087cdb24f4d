"""Going on from a node of a stored run: any node that is not finished, a pruned one above all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.search.budget import Budget
from core.search.errors import BadRequest
from core.search.events import Finished, Origin, RunSpec
from core.search.tree import Node, Tree
from core.store.runs import RunStore


def resumed(
    store: RunStore, run: str, node: int, strategy: str, params: Mapping[str, Any], budget: Budget,
    verifier: str | None = None, seed: int | None = None,
) -> RunSpec:
    """The spec of a run that goes on from a node with any strategy and budget.

    Prompt and generator are those of the stored run, and so is the verifier where none is given. With the node's own
    seed, which is the default, its children are those that it had or would have had.
    Raises BadRequest when there is no such run or node.
    """
    tree = Tree.of(store.load(run))
    found = _node(tree, run, node)
    spec = RunSpec(
        tree.spec.prompt, tree.spec.generator, strategy, params, verifier or tree.spec.verifier,
        seed=found.seed if seed is None else seed, origin=_origin(tree, run, found),
    )
    return spec.with_budget(budget)


def _node(tree: Tree, run: str, node: Any) -> Node:
    if tree.spec is None:
        raise BadRequest(f"run {run} ended before its first event: there is nothing to go on from")
    if isinstance(node, bool) or not isinstance(node, int) or node not in tree.nodes:
        raise BadRequest(f"run {run} has no node {node!r}: its nodes are 0 to {len(tree.nodes) - 1}")
    return tree.nodes[node]


def way(tree: Tree, node: Node) -> tuple[int, ...]:
    """The step of every state that has to be computed to have the node's again."""
    steps = [*(tree.spec.origin.path if tree.spec.origin else ())]
    for above in tree.path(node.id)[1:]:
        steps = [] if above.made == "neighbour" else steps   # it needs nothing of what lies above but the first noise
        steps.append(above.step)
    return tuple(steps)


def _origin(tree: Tree, run: str, node: Node) -> Origin:
    return Origin(run, node.id, node.step, node.state, way(tree, node), _winner(tree))


def _winner(tree: Tree) -> dict[str, float]:
    """Every score that the run's result was given."""
    if isinstance(tree.end, Finished):
        return dict(tree.end.scores)
    return {tree.spec.verifier: tree.best_score()} if tree.best() else {}
