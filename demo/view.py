"""From a search tree to what the page shows of it: rows, frames, inspector facts. Pure; knows no Gradio and no Plotly.

A row is one node with its place: x is the step, y the place within the step (best rank on top, in units that are
turned into pixels by the page), h the room it gets. A child stands right of its parent, or, carried back into noise,
left of it. A frame is what one event changed. All are plain JSON values.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from core.search.events import Cancelled, Failed, Finished
from core.search.tree import Node, Tree
from demo import strings
from demo.strings import guide_name, said

GIGA = 1e9
KEPT_ROOM = 1.0      # units of height of a node that was kept
OTHER_ROOM = 0.55    # of one that was pruned or is still waiting
MAX_DRAWN = 400      # nodes; pruned ones beyond it are counted at the foot of their step
MAX_UNITS = 18.0     # height of a column, as far as leaving out pruned nodes can limit it
MAX_THUMBS = 160     # every candidate of a default search

# The range of scores that colours span, per verifier, so that colours compare between runs; scores outside widen it.
# A faithful image has a mean reward of 1 and a mismatched one of -1; the judge is a mean log-probability, 0 at best;
# CLIPScore is 100 x cosine; Aesthetic has marks.
SPANS: Mapping[str, tuple[float, float]] = {
    "image_reward": (-1.2, 1.1), "judge": (-3.0, 0.0), "clip_score": (0.0, 100.0), "aesthetic": (1.0, 10.0),
    "rank": (0.0, 1.0), "zscore": (-2.0, 2.0),  # ensembles
}  # fmt: skip

PICTURES = {"t": "preview", "l": "look", "f": "final"}  # first part of a picture's address -> what it shows

Row = dict[str, Any]
Place = tuple[int, bool, int, int]
UNRANKED: Place = (1, False, 0, 0)


def image_kind(tree: Tree, node: Node) -> str | None:
    """Where the picture is that shows the node best: t its preview, l a look ahead, f its finished image."""
    if node.has_final and node.step == tree.num_steps:
        return "f"
    return "t" if node.has_preview else "l" if node.has_look else "f" if node.has_final else None


def rows(tree: Tree) -> dict[int, Row]:
    """Every node as a row, by id; y is None for nodes that are only counted."""
    states = _states(tree)
    placed = _places(tree, states)
    return {node.id: _row(tree, node, states[node.id], placed.get(node.id)) for node in tree.nodes.values()}


def _row(tree: Tree, node: Node, state: str, place: tuple[float, float] | None) -> Row:
    y, room = place or (None, 0.0)
    return {
        "id": node.id, "parent": node.parent, "x": node.step, "y": y, "h": room, "score": node.score, "state": state,
        "rank": node.rank, "of": node.of, "image": image_kind(tree, node), "children": len(tree.children(node.id)),
        "made": node.made,
    }  # fmt: skip


def _states(tree: Tree) -> dict[int, str]:
    """live, kept, pruned or finished, by id. A node that was never ranked itself fares as its best child does."""
    states: dict[int, str] = {}
    for node in reversed(tree.nodes.values()):  # children come after their parents, whatever their steps
        if node.status != "live":
            states[node.id] = node.status
            continue
        below = {states[child.id] for child in tree.children(node.id)}
        alive = below - {"pruned"}
        states[node.id] = "live" if alive == {"live"} or not below else "kept" if alive else "pruned"
    return states


def _places(tree: Tree, states: Mapping[int, str]) -> dict[int, tuple[float, float]]:
    """(y of the centre, room) of every drawn node: ranked nodes first, best on top; the rest as they were created."""
    limit = max(8, MAX_DRAWN // max(1, tree.num_steps))
    always = set(best_path(tree))
    places = {}
    for column in _columns(tree).values():
        rooms = {node.id: _room(node, states[node.id]) for node in column}
        top = 0.0
        for node in _most_telling(column, rooms, always, limit):
            places[node.id] = (round(top + rooms[node.id] / 2, 3), rooms[node.id])
            top += rooms[node.id]
    return places


def _room(node: Node, state: str) -> float:
    return KEPT_ROOM if state in ("kept", "finished") or node.parent is None else OTHER_ROOM


def _columns(tree: Tree) -> dict[int, list[Node]]:
    columns: dict[int, list[Node]] = {}
    for node in tree.nodes.values():
        columns.setdefault(node.step, []).append(node)
    order = _order(tree)
    for column in columns.values():
        column.sort(key=lambda node: (order[node.id], node.id))
    return columns


def _order(tree: Tree) -> dict[int, Place]:
    """What nodes of one step are sorted by: kept ones first, then by choice and rank.

    A node that was not ranked goes with the first of what grew from it, so that its path is a straight line.
    """
    order: dict[int, Place] = {}
    for node in reversed(tree.nodes.values()):
        ahead = [order[child.id] for child in tree.children(node.id) if child.step > node.step]
        order[node.id] = min(ahead, default=UNRANKED) if node.rank is None else _own_place(node)
    return order


def _own_place(node: Node) -> Place:
    return 0, node.status == "pruned", node.choice, node.rank


def _most_telling(column: list[Node], rooms: Mapping[int, float], always: set[int], limit: int) -> list[Node]:
    """The column in order, without its last nodes where it is too long or high; kept ones and the best path stay."""
    count, height, left_out = len(column), sum(rooms.values()), set()
    for node in reversed(column):
        if count <= limit and height <= MAX_UNITS:
            break
        if rooms[node.id] < KEPT_ROOM and node.id not in always:
            left_out.add(node.id)
            count, height = count - 1, height - rooms[node.id]
    return [node for node in column if node.id not in left_out]


def hidden(drawn: Mapping[int, Row]) -> dict[str, int]:
    """How many nodes of each step are counted and not drawn, by step."""
    return dict(Counter(str(row["x"]) for row in drawn.values() if row["y"] is None))


def best_path(tree: Tree) -> list[int]:
    """Ids from the root to the leader: the best finished image once the run is over, before that the front's best."""
    leader = _leader(tree)
    return [] if leader is None else [node.id for node in tree.path(leader.id)]


def _leader(tree: Tree) -> Node | None:
    if tree.end is not None and tree.best() is not None:
        return _continued(tree, tree.best())
    front = [node for node in tree.nodes.values() if node.rank == 0 and node.status != "pruned"]
    return max(front, key=lambda node: node.choice, default=tree.best())


def _continued(tree: Tree, node: Node) -> Node:
    """The last node with the same finished image: a rollout's image is reached again along first children."""
    last, below = node, node
    while below := next((c for c in tree.children(below.id) if c.index == 0 and c.made == "step"), None):
        last = below if below.has_final and below.score == node.score else last
    return last


def thumbs(tree: Tree, drawn: Mapping[int, Row], path: Iterable[int]) -> list[int]:
    """Ids of at most MAX_THUMBS nodes shown as pictures: best path, then newest survivors, then newest pruned."""
    first = set(path)
    shown = [row for row in drawn.values() if row["image"] and row["y"] is not None]

    def order(row: Row) -> tuple[bool, bool, int, float]:
        return row["id"] not in first, row["state"] == "pruned", -row["x"], row["y"]

    return [row["id"] for row in sorted(shown, key=order)[:MAX_THUMBS]]


def frame(tree: Tree, seq: int, before: Mapping[int, Row], after: Mapping[int, Row]) -> dict[str, Any]:
    """What the page needs to move from the tree before an event to the tree after it."""
    path = best_path(tree)
    tally = [state for id, state in _states(tree).items() if tree.nodes[id].parent is not None]
    return {
        "seq": seq,
        "nodes": [row for id, row in after.items() if before.get(id) != row],
        "path": path,
        "thumbs": thumbs(tree, after, path),
        "hidden": hidden(after),
        "units": units(after),
        "seconds": tree.seconds,
        "gflop": tree.spent.flops / GIGA,
        "best": best(tree),
        "nodes_total": len(tree.nodes),
        "kept": sum(state in ("kept", "finished") for state in tally),
        "pruned": tally.count("pruned"),
        "state": run_state(tree),
        "message": tree.end.message if isinstance(tree.end, Failed) else None,
    }


def units(drawn: Mapping[int, Row]) -> float:
    """Height of the tallest column."""
    return max((row["y"] + row["h"] / 2 for row in drawn.values() if row["y"] is not None), default=1.0)


def best(tree: Tree) -> dict[str, Any] | None:
    """The result so far, and beside its score the guide's best, from which a judge may have departed."""
    node = tree.best()
    if node is None:
        return None
    return {"node": node.id, "score": tree.best_score(), "image": "f", "peak": tree.improvements[-1][2],
            "judged": tree.judged and tree.judged.scores[node.id]}  # fmt: skip


def run_state(tree: Tree) -> str:
    """waiting, running, done, budget, cancelled or failed."""
    if isinstance(tree.end, Finished):
        return tree.end.reason
    if isinstance(tree.end, Cancelled):
        return "cancelled"
    if isinstance(tree.end, Failed):
        return "failed"
    return "running" if tree.spec else "waiting"


def span(verifier: str, scores: Iterable[float]) -> tuple[float, float]:
    """The score range of the colours: the guide's own, widened to hold all scores seen."""
    seen = [*SPANS.get(verifier.partition(":")[0], ()), *scores]
    if not seen:
        return 0.0, 1.0
    low, high = min(seen), max(seen)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


# -- the inspector ----------------------------------------------------------------------------------------------------


def inspect(tree: Tree, run: str, id: int) -> dict[str, Any]:
    """All that is known of one node, in words. `id` must be a node of the tree."""
    node = tree.nodes[id]
    kind = image_kind(tree, node)
    return {
        "id": id, "title": node_name(tree, node, " · "), "state": _states(tree)[id], "why": why(tree, node),
        "image": kind and image_url(run, node.id, kind), "alt": alt_text(tree, node, kind),
        "scores": _scores(tree, node), "pairs": _pairs(tree, node), "path": _ancestors(tree, run, node),
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


def why(tree: Tree, node: Node) -> str:
    """The tree's sentence; of a node at which no choice was made that of the first choice below it."""
    states, below = _states(tree), node
    while below.rank is None and below.parent is not None and (children := tree.children(below.id)):
        below = next((child for child in children if states[child.id] == states[node.id]), children[0])
    sentence = said(tree.why(below.id))
    return sentence if below is node else strings.BELOW.format(node=below.id, sentence=sentence)


def made_by(tree: Tree, node: Node) -> str | None:
    """How the node came from its parent, where that is no step on."""
    return {
        "renoise": f"re-noising node {node.parent} to {step_name(tree, node.step)}",
        "neighbour": f"varying the first noise of node {node.parent}",
    }.get(node.made)


def alt_text(tree: Tree, node: Node, kind: str | None) -> str:
    """What a picture of the node is, for people who do not see it."""
    if kind is None:
        return "No picture: it was not decoded at this step."
    what = {"t": "preview", "l": "look ahead", "f": "finished image"}[kind]
    score = "not scored" if node.score is None else f"score {node.score:.3f}"
    return f"{what} at {step_name(tree, node.step)}, {score}, {_states(tree)[node.id]}"


def _scores(tree: Tree, node: Node) -> list[dict[str, Any]]:
    parts = {tree.spec.verifier: "guides", tree.spec.judge: "judges"}
    order = list(parts)
    return [
        {"name": guide_name(name, whole=False), "value": value, "part": parts.get(name)}
        for name, value in sorted(node.scores.items(), key=lambda item: _place(order, item[0]))
    ]


def _place(order: list[str | None], name: str) -> tuple[int, str]:
    """Those in `order` first, the others by name."""
    return order.index(name) if name in order else len(order), name


def _pairs(tree: Tree, node: Node) -> list[tuple[str, str]]:
    ranked = f"{(node.rank or 0) + 1} of {node.of}, {node.keeps} kept"
    facts = {
        "Made by": made_by(tree, node),
        "Rank": ranked if node.rank is not None else None,
        "Copies drawn": str(node.copies) if node.copies > 1 else None,
        "Verifier saw": look_name(tree, node.look) if node.look is not None else None,
        "Compute on its path": f"{node.flops / GIGA:.3g} GFLOP" if node.step else None,
        "Seed": str(node.seed),
    }
    return [(term, value) for term, value in facts.items() if value is not None]


def look_name(tree: Tree, look: str | int) -> str:
    """What the verifier looked at, in a few words."""
    if isinstance(look, int):
        return f"rollout to {step_name(tree, look)}"
    return {"preview": "its preview", "rollout": "its rollout", "final": "its finished image"}[look]


def _ancestors(tree: Tree, run: str, node: Node) -> list[dict[str, Any]]:
    return [_ancestor(tree, run, step) for step in tree.path(node.id)]


def _ancestor(tree: Tree, run: str, node: Node) -> dict[str, Any]:
    kind = image_kind(tree, node)
    score = "" if node.score is None else f", score {node.score:.3f}"
    return {
        "id": node.id,
        "label": f"{node_name(tree, node, ', ')}{score}",
        "short": "txt" if node.parent is None else str(node.id),
        "image": kind and image_url(run, node.id, kind, 64),
    }
