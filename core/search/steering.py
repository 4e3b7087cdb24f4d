"""What a person does to a search while it runs: choose who survives, pin, forbid.

`Hands` carries it to the search from wherever the person is, in whatever thread. The functions below it say what marks
in the tree make of a choice: a mark holds for a node and all that grows from it, and the nearest one decides.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from threading import Lock
from typing import Any, get_args

from core.search.errors import BadRequest
from core.search.events import Action, Asked, Mark
from core.search.tree import Node, Tree


class Hands:
    """One person's hold on one search. Whoever advances the search does so only while it is not `waiting`.

    Advanced all the same, the search leaves the open choice to the verifier, so nothing ever hangs. away: nobody is
    there to be asked. `tree` is the search's, as of its last event.
    """

    def __init__(self, away: bool = False):
        self.away, self.asked, self.tree = away, None, Tree()
        self._lock = Lock()
        self._orders: deque[tuple[int, Action]] = deque()
        self._answer: tuple[int, ...] | None = None
        self._answered = False

    @property
    def waiting(self) -> bool:
        """Whether the search can do nothing before the person answers."""
        return self.asked is not None and self.tree.end is None and not self._answered and not self._orders

    # The person's side

    def choose(self, keep: Any, asked: Any = None) -> None:
        """Answer the open question with the ids to keep, the best first. `asked`: seq of the question it is meant for.

        Raises BadRequest where nothing, or something else, is being asked, and for ids that cannot be kept.
        """
        with self._lock:
            question = self._question(asked)
            _check_answer(self.tree, question, keep)
            self._answer, self._answered = tuple(keep), True

    def leave(self, asked: Any = None, rest: bool = False) -> None:
        """Leave the open choice to the verifier; with `rest` all later ones too. Raises BadRequest as `choose`."""
        with self._lock:
            if not rest:
                self._question(asked)
            self._answer, self._answered = None, self.asked is not None
            self.away = self.away or rest

    def steer(self, node: Any, action: Any) -> None:
        """Pin or forbid a node and what grows from it, or free it again. Raises BadRequest where that is impossible."""
        with self._lock:
            if isinstance(node, bool) or not isinstance(node, int) or node not in self.tree.nodes:
                raise BadRequest(f"there is no node {node!r}: the nodes are 0 to {len(self.tree.nodes) - 1}")
            if action not in get_args(Action):
                raise BadRequest(f"{action!r} is impossible: a node can be steered by {', '.join(get_args(Action))}")
            if reason := refusal(self.tree, node, action):
                raise BadRequest(reason)
            self._orders.append((node, action))

    def _question(self, asked: Any) -> Asked:
        if self.asked is None or self._answered:
            raise BadRequest("nothing is being asked now: wait until the search asks for a choice")
        if asked is not None and asked != self.asked.seq:
            raise BadRequest("that question is no longer open: the search now asks another one")
        return self.asked

    # The search's side

    def ask(self, question: Asked) -> None:
        with self._lock:
            self.asked, self._answer, self._answered = question, None, False

    def take_answer(self) -> tuple[int, ...] | None:
        """The ids to keep, None where the verifier is to decide; the question is closed."""
        with self._lock:
            answer, self.asked, self._answered = self._answer, None, False
            return answer

    def take_order(self) -> tuple[int, Action] | None:
        """The oldest order that can still be carried out."""
        with self._lock:
            while self._orders:
                order = self._orders.popleft()
                if refusal(self.tree, *order) is None:
                    return order
            return None


def _check_answer(tree: Tree, question: Asked, keep: Any) -> None:
    ids = keep if isinstance(keep, list | tuple) else []
    whole = all(isinstance(id, int) and not isinstance(id, bool) for id in ids)
    if not whole or not 1 <= len(ids) <= question.keep or len(set(ids)) < len(ids):
        raise BadRequest(f"choose 1 to {question.keep} of the {len(question.candidates)} candidates, each once")
    if strange := set(ids) - set(question.candidates):
        raise BadRequest(f"node {min(strange)} is not among the candidates: "
                         f"choose from {', '.join(map(str, question.candidates))}")
    able = {node.id for node in allowed(tree, [tree.nodes[id] for id in question.candidates])}
    if banned := [id for id in ids if id not in able]:
        raise BadRequest(f"node {banned[0]} is forbidden: free it first, or choose another one")


def refusal(tree: Tree, node: int, action: Action) -> str | None:
    """Why a node cannot be steered so, in a sentence; None if it can."""
    found = tree.nodes[node]
    if tree.end is not None:
        return "the run is over: nothing can be pinned or forbidden any more; go on from a node instead"
    if action == "free":
        return None
    if found.parent is None:
        return f"node {node} is where every candidate begins: it cannot be steered, only what grows from it"
    if found.status == "pruned":
        return f"node {node} was pruned already: go on from it in a run of its own instead"
    return None


# What marks make of a choice


def standing(tree: Tree, id: int) -> Node | None:
    """The nearest marked node on the way to a node, itself included."""
    return next((above for above in reversed(tree.path(id)) if above.mark), None)


def is_forbidden(tree: Tree, id: int) -> bool:
    marked = standing(tree, id)
    return marked is not None and marked.mark == "forbid"


def allowed(tree: Tree, nodes: Sequence[Node]) -> list[Node]:
    """Those that are not forbidden; all of them where nothing else is left."""
    return [node for node in nodes if not is_forbidden(tree, node.id)] or list(nodes)


def with_pins(tree: Tree, ranked: Sequence[Node], kept: Sequence[Node], width: int, spare: int = 0) -> list[Node]:
    """`kept`, and of every pinned line without a survivor the best candidate, in the places of the last ones kept.

    Of more pinned lines than places those of the best candidates survive. The first `spare` kept never give way.
    """
    pins = {node.id: _pin(tree, node.id) for node in ranked}
    kept, needed = list(kept), dict.fromkeys(pin for pin in pins.values() if pin is not None)
    for pin in needed:
        held = [pins[node.id] for node in kept]
        if pin in held:
            continue
        if len(kept) >= width:
            free = [i for i in range(spare, len(kept)) if held[i] is None or held.count(held[i]) > 1]
            if not free:
                break
            del kept[free[-1]]
        kept.append(next(node for node in ranked if pins[node.id] == pin))
    return kept


def copies_with_marks(tree: Tree, nodes: Sequence[Node], counts: Sequence[int]) -> list[int]:
    """Copies that a resampler drew, as many in all: forbidden nodes give theirs up, a pinned line has at least one."""
    free = {node.id for node in allowed(tree, nodes)}
    copies = {node.id: count for node, count in zip(nodes, counts, strict=True)}
    for id in [id for id in copies if id not in free]:
        for _ in range(copies[id]):
            copies[min(free, key=lambda other: (copies[other], other))] += 1
        copies[id] = 0
    pins = {node.id: _pin(tree, node.id) for node in nodes}
    for pin in dict.fromkeys(pin for pin in pins.values() if pin is not None):
        line = [id for id in copies if pins[id] == pin]
        givers = [id for id in copies if copies[id] and (pins[id] is None or copies[id] > 1)]
        if givers and not any(copies[id] for id in line):
            copies[max(givers, key=lambda id: (copies[id], id))] -= 1
            copies[line[0]] += 1
    return [copies[node.id] for node in nodes]


def marks_of(tree: Tree, nodes: Sequence[Node]) -> dict[int, Mark]:
    """The marks that hold for candidates, by node, for the log of their choice."""
    found = {node.id: standing(tree, node.id) for node in nodes}
    return {id: marked.mark for id, marked in found.items() if marked}


def _pin(tree: Tree, id: int) -> int | None:
    marked = standing(tree, id)
    return marked.id if marked and marked.mark == "pin" else None
