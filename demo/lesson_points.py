"""The points of the lessons: what their sentences say of recorded runs, read off the runs themselves.

Each point is a function of the trees of a lesson, in the order in which they are shown: the figures of its sentences,
or None where the runs do not tell it. Recording looks for runs that do, and tests ask of those that are shipped.
"""

from collections.abc import Callable
from typing import Any

from core.search.tree import Node, Tree
from core.store.runs import RunStore
from demo import settings

CLEAR = 0.6    # reward of a picture that shows what was asked for
LOSS = 0.25    # of ImageReward's about 2.5: a difference that a person sees
SEEN = 0.02    # apart on a chart
DISPUTE = 0.8  # that the reward falls by where looks alone choose
EQUAL = 1.15   # times the compute of the other side, at most

Told = dict[str, Any] | None


def becomes_clear(tree: Tree) -> Told:
    """The picture is clear in the end, so that becoming clear is seen."""
    return {} if tree.best_score() >= CLEAR else None


def some_fail(tree: Tree) -> Told:
    """The best of the images is clear and the worst is not what was asked for."""
    best, *_, worst = ranked(tree)
    if best.score < CLEAR or best.score - worst.score < DISPUTE:
        return None
    return {"n": tree.spec.params["n"], "best": written(best.score), "worst": written(worst.score)}


def pruning_was_a_loss(tree: Tree, again: Tree) -> Told:
    """What greed pruned early ends clearly better when the search goes on from it."""
    node = tree.nodes[again.spec.origin.node]
    if node.status != "pruned" or again.regret() < LOSS or again.best_score() < CLEAR:
        return None
    return {"rank": node.rank + 1, "of": node.of, "scale": tree.label(node.step),
            "greedy": written(tree.best_score()), "again": written(again.best_score()),
            "regret": written(again.regret())}  # fmt: skip


def second_choice_won(tree: Tree, greedy: Tree) -> Told:
    """The beam's result grew from a candidate that was not first, and greed ends clearly worse."""
    node = late(tree)
    if node is None or tree.best_score() < CLEAR or tree.best_score() - greedy.best_score() < LOSS:
        return None
    return {"width": tree.spec.params["width"], "rank": node.rank + 1, "scale": tree.label(node.step),
            "beam": written(tree.best_score()), "greedy": written(greedy.best_score())}  # fmt: skip


def late(tree: Tree) -> Node | None:
    """The node on the way to the result that was ranked lowest early on; None where all were first."""
    early = [node for node in tree.path(tree.best().id)[1:] if node.rank is not None][:3]
    return max((node for node in early if node.rank > 0), key=lambda node: node.rank, default=None)


def winners_differ(first: Tree, second: Tree) -> Told:
    """Of the same images looks alone choose another one, which shows much less of what was asked for."""
    one, other = first.best(), second.best()
    if one.id == other.id or one.scores["image_reward"] - other.scores["image_reward"] < DISPUTE:
        return None
    return {"n": first.spec.params["n"], "reward": written(one.scores["image_reward"]),
            "looks": written(one.scores["aesthetic"]), "other_reward": written(other.scores["image_reward"]),
            "other_looks": written(other.scores["aesthetic"])}  # fmt: skip


def curves_end_apart(first: Tree, second: Tree) -> Told:
    """At equal compute, whoever wins, so that the ends of the curves can be told apart."""
    spent = first.spent.flops, second.spent.flops
    if abs(first.best_score() - second.best_score()) < SEEN or max(spent) > EQUAL * min(spent):
        return None
    return {"gflop": f"{first.spent.flops / settings.GIGA:.0f}", "n": second.spec.params.get("n"),
            "first": written(first.best_score()), "second": written(second.best_score())}  # fmt: skip


POINTS: dict[str, Callable[..., Told]] = {
    "scales": becomes_clear, "best_of_n": some_fail, "greedy": pruning_was_a_loss, "beam": second_choice_won,
    "verifiers": winners_differ, "matched": curves_end_apart,
}  # fmt: skip


def trees_of(store: RunStore, lesson: dict[str, Any]) -> list[Tree]:
    """What the point of a recorded lesson is about: its runs in the order in which they are shown, and those beside."""
    runs = dict.fromkeys(scene["run"] for scene in lesson["scenes"])
    besides = (store.meta(run)["beside"] for run in runs)
    return [Tree.of(store.load(run)) for run in [*runs, *filter(None, besides)]]


def ranked(tree: Tree) -> list[Node]:
    return sorted((node for node in tree.nodes.values() if node.has_final), key=lambda node: -node.score)


def written(score: float) -> str:
    return f"{score:.2f}".replace("-", "\u2212")
