"""From a search tree to what the page shows of it: rows, frames, inspector facts. Pure; knows no Gradio and no Plotly.

A row is one node with its place: x is the step, y the place within the step (best rank on top, in units that are
turned into pixels by the page), h the room it gets. A frame is what one event changed. All are plain JSON values.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from core.search.events import Cancelled, Failed, Finished
from core.search.tree import Node, Tree
from demo.strings import VERIFIER_NAMES, name_of, said

GIGA = 1e9
KEPT_ROOM = 1.0      # units of height of a node that was kept
OTHER_ROOM = 0.55    # of one that was pruned or is still waiting
MAX_DRAWN = 400      # nodes; pruned ones beyond it are counted at the foot of their step
MAX_UNITS = 18.0     # height of a column, as far as leaving out pruned nodes can limit it
MAX_THUMBS = 96      # every candidate of a default search

# The range of scores that colours span, per verifier, so that colours compare between runs; scores outside widen it.
# A faithful image has a mean reward of 1 and a mismatched one of -1; CLIPScore is 100 x cosine; Aesthetic has marks.
SPANS: Mapping[str, tuple[float, float]] = {
    "image_reward": (-1.2, 1.1), "clip_score": (0.0, 100.0), "aesthetic": (1.0, 10.0),
}  # fmt: skip

Row = dict[str, Any]


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
    }  # fmt: skip


def _states(tree: Tree) -> dict[int, str]:
    """live, kept, pruned or finished, by id. A node that was never ranked itself fares as its best child does."""
    states: dict[int, str] = {}
    for node in sorted(tree.nodes.values(), key=lambda node: -node.step):
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
    for column in columns.values():
        column.sort(key=lambda node: (node.rank is None, node.choice or 0, node.rank or 0, node.id))
    return columns


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
    return max(front, key=lambda node: (node.step, node.choice or 0), default=tree.best())


def _continued(tree: Tree, node: Node) -> Node:
    """The last node with the same finished image: a rollout's image is reached again by its own children."""
    same = [child for child in tree.children(node.id) if child.score == node.score and child.has_final]
    return _continued(tree, same[0]) if same else node


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
    """The best finished image so far."""
    if not tree.improvements:
        return None
    _, node, score = tree.improvements[-1]
    return {"node": node, "score": score, "image": "f"}


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
    """The score range of the colours: the verifier's own, widened to hold all scores seen."""
    seen = [*SPANS.get(verifier, ()), *scores]
    if not seen:
        return 0.0, 1.0
    low, high = min(seen), max(seen)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


# -- the inspector ----------------------------------------------------------------------------------------------------


def inspect(tree: Tree, run: str, id: int) -> dict[str, Any]:
    """All that is known of one node, in words. `id` must be a node of the tree."""
    node = tree.nodes[id]
    kind = image_kind(tree, node)
    title = "Prompt" if node.parent is None else f"Node {id} · {step_name(tree, node.step)}"
    return {
        "id": id, "title": title, "state": _states(tree)[id], "why": why(tree, node),
        "image": kind and image_url(run, node.id, kind), "alt": alt_text(tree, node, kind),
        "scores": _scores(tree, node), "pairs": _pairs(tree, node), "path": _ancestors(tree, run, node),
    }  # fmt: skip


def image_url(run: str, id: int, kind: str, px: int | None = None) -> str:
    """The address of one picture; what it shows never changes."""
    return f"/{kind}/{run}/{id}.jpg" + (f"?px={px}" if px else "")


def step_name(tree: Tree, step: int) -> str:
    """A step by its number and label, as "step 2 · 2x2"."""
    return f"step {step} · {tree.label(step)}" if step else "prompt"


def why(tree: Tree, node: Node) -> str:
    """The tree's sentence, or what it cannot say of nodes at which no choice was made."""
    if node.parent is None:
        return "The bare prompt: every path starts here, nothing is drawn yet."
    if node.rank is None and tree.children(node.id):
        return "Not ranked: at this step the strategy let every candidate go on."
    return said(tree.why(node.id))


def alt_text(tree: Tree, node: Node, kind: str | None) -> str:
    """What a picture of the node is, for people who do not see it."""
    if kind is None:
        return "No picture: it was not decoded at this step."
    what = {"t": "preview", "l": "look ahead", "f": "finished image"}[kind]
    score = "not scored" if node.score is None else f"score {node.score:.3f}"
    return f"{what} at {step_name(tree, node.step)}, {score}, {_states(tree)[node.id]}"


def _scores(tree: Tree, node: Node) -> list[dict[str, Any]]:
    guide = tree.spec.verifier
    return [
        {"name": name_of(VERIFIER_NAMES, name), "value": value, "guide": name == guide}
        for name, value in sorted(node.scores.items(), key=lambda item: (item[0] != guide, item[0]))
    ]


def _pairs(tree: Tree, node: Node) -> list[tuple[str, str]]:
    pairs = [("Seed", str(node.seed))]
    if node.parent is not None:
        pairs.insert(0, ("Compute on its path", f"{node.flops / GIGA:.3g} GFLOP"))
    if node.rank is not None:
        pairs.insert(0, ("Rank", f"{node.rank + 1} of {node.of}, {node.keeps} kept"))
    if node.look is not None:
        pairs.insert(-1, ("Verifier saw", look_name(tree, node.look)))
    return pairs


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
        "label": "Prompt" if node.parent is None else f"Node {node.id}, {step_name(tree, node.step)}{score}",
        "short": "txt" if node.parent is None else str(node.id),
        "image": kind and image_url(run, node.id, kind, 64),
    }
