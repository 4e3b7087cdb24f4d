"""From a search tree to what the page draws of it: rows and frames. Pure; knows no Gradio and no Plotly.

A row is one node with its place: x is the step, y the place within the step (best rank on top, in units that are
turned into pixels by the page), h the room it gets. A child stands right of its parent, or, carried back into noise,
left of it. A frame is what one event changed: of every row only the fields that did. All are plain JSON values.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from core.search.errors import OutOfMemory
from core.search.events import Cancelled, Failed, Finished
from core.search.retry import at
from core.search.tree import Node, Tree

GIGA = 1e9
KEPT_ROOM = 1.0      # units of height of a node that was kept
OTHER_ROOM = 0.55    # of one that was pruned or is still waiting
MAX_DRAWN = 400      # nodes; pruned ones beyond it are counted at the foot of their step
MAX_UNITS = 18.0     # height of a column, as far as leaving out pruned nodes can limit it

# The range of scores that colours span, per verifier, so that colours compare between runs; scores outside widen it.
# A faithful image has a mean reward of 1 and a mismatched one of -1; the judge is a mean log-probability, 0 at best;
# CLIPScore is 100 x cosine; Aesthetic has marks.
SPANS: Mapping[str, tuple[float, float]] = {
    "image_reward": (-1.2, 1.1), "judge": (-3.0, 0.0), "clip_score": (0.0, 100.0), "aesthetic": (1.0, 10.0),
    "rank": (0.0, 1.0), "zscore": (-2.0, 2.0),  # ensembles
}  # fmt: skip

PICTURES = {"t": "preview", "l": "look", "f": "final"}  # first part of a picture's address -> what it shows

Row = dict[str, Any]
BLANK: Row = {"parent": None, "x": 0, "y": None, "h": 0.0, "score": None, "state": "live", "rank": None, "of": None,
              "image": None, "children": 0, "made": "step", "mark": None, "by": "verifier"}  # fmt: skip
Place = tuple[int, bool, int, int]
UNPLACED = None, 0.0
UNRANKED: Place = (1, False, 0, 0)


def image_kind(tree: Tree, node: Node) -> str | None:
    """Where the picture is that shows the node best: t its preview, l a look ahead, f its finished image."""
    if node.has_final and node.step == tree.num_steps:
        return "f"
    return "t" if node.has_preview else "l" if node.has_look else "f" if node.has_final else None


def rows(tree: Tree, before: Tree | None = None, known: Mapping[int, Row] = MappingProxyType({})) -> dict[int, Row]:
    """Every node as a row, by id; y is None for nodes that are only counted.

    `known` are the rows of the tree `before`: those that nothing happened to are handed on, which saves making them.
    """
    found = states(tree)
    placed = _places(tree, found)
    old = before.nodes if before else {}
    made = {}
    for id, node in tree.nodes.items():
        place, row = placed.get(id, UNPLACED), known.get(id)
        same = old.get(id) is node and (row["state"], row["y"]) == (found[id], place[0])
        if same and row["children"] == len(tree.below.get(id, ())):
            made[id] = row
        else:
            made[id] = _row(tree, node, found[id], place)
    return made


def pictured(tree: Tree, ids: Iterable[int], known: Mapping[int, Row]) -> dict[int, Row]:
    """The rows after some nodes got a picture and nothing else happened."""
    return {**known, **{id: known[id] | {"image": image_kind(tree, tree.nodes[id])} for id in ids}}


def _row(tree: Tree, node: Node, state: str, place: tuple[float | None, float]) -> Row:
    return {
        "id": node.id, "parent": node.parent, "x": node.step, "y": place[0], "h": place[1],
        "score": _rounded(node.score), "state": state, "rank": node.rank, "of": node.of,
        "image": image_kind(tree, node), "children": len(tree.below.get(node.id, ())), "made": node.made,
        "mark": node.mark, "by": node.by,
    }  # fmt: skip


def _rounded(score: float | None) -> float | None:
    """As many digits as the page can show."""
    return None if score is None else round(score, 4)


def states(tree: Tree) -> dict[int, str]:
    """live, kept, pruned or finished, by id. A node that was never ranked itself fares as its best child does."""
    found: dict[int, str] = {}
    for node in reversed(tree.nodes.values()):  # children come after their parents, whatever their steps
        if node.status != "live":
            found[node.id] = node.status
            continue
        below = {found[child] for child in tree.below.get(node.id, ())}
        alive = below - {"pruned"}
        found[node.id] = "live" if alive == {"live"} or not below else "kept" if alive else "pruned"
    return found


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
        below = tree.below.get(node.id, ())
        ahead = [order[child] for child in below if tree.nodes[child].step > node.step]
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


def frame(tree: Tree, seq: int, before: Mapping[int, Row], after: Mapping[int, Row]) -> dict[str, Any]:
    """What the page needs to move from the tree before an event to the tree after it."""
    tally = [row["state"] for row in after.values() if row["parent"] is not None]
    return {
        "seq": seq,
        "nodes": _changes(before, after),
        "path": best_path(tree),
        "hidden": hidden(after),
        "units": units(after),
        "seconds": round(tree.seconds, 3),
        "gflop": tree.spent.flops / GIGA,
        "nfe": tree.spent.nfe,
        "best": best(tree),
        "nodes_total": len(tree.nodes),
        "kept": sum(state in ("kept", "finished") for state in tally),
        "pruned": tally.count("pruned"),
        "state": run_state(tree),
        "message": tree.end.message if isinstance(tree.end, Failed) else None,
        "asked": asked(tree),
        **_short_of_memory(tree),
    }


def _short_of_memory(tree: Tree) -> dict[str, str]:
    """Where memory did not suffice, if that is what ended the run."""
    short = isinstance(tree.end, Failed) and tree.end.code == OutOfMemory.code and tree.end.step is not None
    return {"short": at(tree.label(tree.end.step))} if short else {}


def asked(tree: Tree) -> dict[str, Any] | None:
    """The choice that a person is to make now."""
    question = tree.asked
    return question and {"seq": question.seq, "step": question.step, "label": tree.label(question.step),
                         "candidates": list(question.candidates), "keep": question.keep,
                         "last": question.step == tree.num_steps}  # fmt: skip


def _changes(before: Mapping[int, Row], after: Mapping[int, Row]) -> list[Row]:
    pairs = ((before.get(id, BLANK), row) for id, row in after.items())
    return [_change(old, new) for old, new in pairs if old is not new and old != new]


def _change(before: Row, after: Row) -> Row:
    """The id, and the fields that are not as they were before; of a new row those that are not as in `BLANK`."""
    return {name: value for name, value in after.items() if name == "id" or before[name] != value}


def units(drawn: Mapping[int, Row]) -> float:
    """Height of the tallest column."""
    return max((row["y"] + row["h"] / 2 for row in drawn.values() if row["y"] is not None), default=1.0)


def best(tree: Tree) -> dict[str, Any] | None:
    """The result so far, and beside its score the guide's best, from which a judge may have departed."""
    node = tree.best()
    if node is None:
        return None
    return {"node": node.id, "score": tree.best_score(), "image": "f", "peak": tree.improvements[-1][2],
            "judged": tree.judged and tree.judged.scores.get(node.id)}  # fmt: skip


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
