"""All that is known of one node, in words and numbers, for the inspector. Pure: reads the tree and nothing else."""

from collections.abc import Mapping
from typing import Any, get_args

from core.search.counterfactual import Margin, Otherwise, margin, otherwise
from core.search.events import Action
from core.search.steering import refusal
from core.search.tree import Node, Tree
from demo import strings, view
from demo.strings import guide_name, said

GIGA = 1e9
Facts = dict[str, Any]


def inspect(tree: Tree, run: str, id: int) -> Facts:
    """All that is known of one node, in words. `id` must be a node of the tree."""
    node = tree.nodes[id]
    kind = view.image_kind(tree, node)
    return {
        "id": id, "run": run, "title": node_name(tree, node, " · "), "state": view.states(tree)[id],
        "why": why(tree, node), "otherwise": otherwise_said(tree, node), "margin": _margin(node, margin(tree, id)),
        "mark": node.mark, "image": kind and image_url(run, node.id, kind), "alt": alt_text(tree, node, kind),
        "scores": _scores(tree, node), "pairs": _pairs(tree, node), "path": _ancestors(tree, run, node),
        "resume": resume_refusal(tree, node), "steer": steer_actions(tree, node),
        "label": tree.label(node.step), "score": node.score,
    }  # fmt: skip


def image_url(run: str, id: int, kind: str, px: int | None = None) -> str:
    """The address of one picture; what it shows never changes."""
    return f"/{kind}/{run}/{id}.jpg" + (f"?px={px}" if px else "")


def step_name(tree: Tree, step: int) -> str:
    """A step by its number and label, as "step 2 · 2x2"."""
    return f"step {step} · {tree.label(step)}" if step else "prompt"


def node_name(tree: Tree, node: Node, between: str) -> str:
    """"Prompt", or a node by its number and step; the root of a run that goes on from a node by that node."""
    if node.made == "thaw":
        return f"From node {tree.spec.origin.node}{between}{step_name(tree, node.step)}"
    return "Prompt" if node.parent is None else f"Node {node.id}{between}{step_name(tree, node.step)}"


def alt_text(tree: Tree, node: Node, kind: str | None) -> str:
    """What a picture of the node is, for people who do not see it."""
    if kind is None:
        return "No picture: it was not decoded at this step."
    what = {"t": "preview", "l": "look ahead", "f": "finished image"}[kind]
    score = "not scored" if node.score is None else f"score {node.score:.3f}"
    return f"{what} at {step_name(tree, node.step)}, {score}, {view.states(tree)[node.id]}"


# Why


def why(tree: Tree, node: Node) -> str:
    """The tree's sentence; of a node at which no choice was made that of the first choice below it."""
    states, below = view.states(tree), node
    while below.rank is None and below.parent is not None and (children := tree.children(below.id)):
        below = next((child for child in children if states[child.id] == states[node.id]), children[0])
    sentence = said(tree.why(below.id))
    return sentence if below is node else strings.BELOW.format(node=below.id, sentence=sentence)


def otherwise_said(tree: Tree, node: Node) -> str | None:
    """What would have reversed a choice, where the tree's own sentence does not say so already."""
    found = otherwise(tree, node.id)
    if node.by == "person" and node.rank is not None:
        kept = node.rank < node.keeps
        return strings.WOULD_KEEP if kept else strings.WOULD_PRUNE
    if node.status == "pruned" or not found:
        return None
    return strings.WOULD_FALL.format(cases=" or ".join(_case(one) for one in found))


def _case(one: Otherwise) -> str:
    if one.width is not None:
        return strings.WITH_FEWER.format(width=one.width)
    return strings.WITH_VERIFIER.format(verifier=guide_name(one.verifier), rank=one.rank + 1)


def _margin(node: Node, found: Margin | None) -> Facts | None:
    """The margin, and what the sentence of the tree does not say of it."""
    if found is None:
        return None
    by = strings.ABOVE if found.by >= 0 else strings.SHORT
    told = node.status == "pruned" and node.by == "verifier"
    said = [] if told else [by.format(by=abs(found.by), cut=found.cut)]
    said += [strings.TOSS_UP.format(noise=found.noise)] if found.toss_up else []
    return {**vars(found), "by": found.by, "toss_up": found.toss_up, "said": " ".join(said)}


# Numbers


def _scores(tree: Tree, node: Node) -> list[Facts]:
    parts = {tree.spec.verifier: "guides", tree.spec.judge: "judges"}
    order = list(parts)
    return [
        {"name": guide_name(name, whole=False), "value": value, "part": parts.get(name),
         "at": _height(tree, name, value)}
        for name, value in sorted(node.scores.items(), key=lambda item: _place(order, item[0]))
    ]  # fmt: skip


def _height(tree: Tree, verifier: str, value: float) -> float:
    """Where a score lies between the least and the most of its verifier, from 0 to 1."""
    low, high = view.span(verifier, (node.scores[verifier] for node in tree.nodes.values() if verifier in node.scores))
    return round((value - low) / (high - low), 4)


def _place(order: list[str | None], name: str) -> tuple[int, str]:
    """Those in `order` first, the others by name."""
    return order.index(name) if name in order else len(order), name


def _pairs(tree: Tree, node: Node) -> list[tuple[str, str]]:
    ranked = f"{(node.rank or 0) + 1} of {node.of}, {node.keeps} kept"
    facts = {
        "Made by": made_by(tree, node),
        "Rank": ranked if node.rank is not None else None,
        "Chosen by": "a person" if node.by == "person" else None,
        "Copies drawn": str(node.copies) if node.copies > 1 else None,
        "Verifier saw": look_name(tree, node.look) if node.look is not None else None,
        "Forward passes": str(passes(tree, node)) if node.step else None,
        "Compute on its path": f"{node.flops / GIGA:.3g} GFLOP" if node.step else None,
        "Seed": str(node.seed),
    }
    return [(term, value) for term, value in facts.items() if value is not None]


def passes(tree: Tree, node: Node) -> int:
    """Forward passes (NFE) from the prompt, or from the first noise, to a node."""
    count = len(tree.spec.origin.path) if tree.spec.origin else 0
    for above in tree.path(node.id)[1:]:
        count = 1 if above.made == "neighbour" else count + 1
    return count


def made_by(tree: Tree, node: Node) -> str | None:
    """How the node came from its parent, where that is no step on."""
    return {
        "renoise": f"re-noising node {node.parent} to {step_name(tree, node.step)}",
        "neighbour": f"varying the first noise of node {node.parent}",
    }.get(node.made)


def look_name(tree: Tree, look: str | int) -> str:
    """What the verifier looked at, in a few words."""
    if isinstance(look, int):
        return f"rollout to {step_name(tree, look)}"
    return {"preview": "its preview", "rollout": "its rollout", "final": "its finished image"}[look]


def _ancestors(tree: Tree, run: str, node: Node) -> list[Facts]:
    return [_ancestor(tree, run, step) for step in tree.path(node.id)]


def _ancestor(tree: Tree, run: str, node: Node) -> Facts:
    kind = view.image_kind(tree, node)
    score = "" if node.score is None else f", score {node.score:.3f}"
    return {
        "id": node.id, "run": run,
        "label": f"{node_name(tree, node, ', ')}{score}",
        "short": "txt" if node.parent is None else str(node.id),
        "image": kind and image_url(run, node.id, kind, 64),
    }


# What can be done with it


def resume_refusal(tree: Tree, node: Node) -> str | None:
    """Why nobody can go on from a node, in a sentence; None if they can."""
    return strings.FINISHED_NODE if node.step >= tree.num_steps else None


def steer_actions(tree: Tree, node: Node) -> list[str]:
    """What a person could do with a node of a run that is going on: some of pin, forbid, free."""
    able = [action for action in get_args(Action) if refusal(tree, node.id, action) is None]
    useless: Mapping[str | None, str] = {"pin": "pin", "forbid": "forbid", None: "free"}
    return [action for action in able if action != useless[node.mark]]
