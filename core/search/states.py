"""The states of the nodes that can still grow, and the calls that make more of them.

Knows no events and writes no tree. Looking ahead continues a node along its child 0, so what was looked at is kept,
with its scores, until the node grows, and child 0 then inherits it: nothing is paid twice. Candidates whose frozen
states are equal are equal: their next pass, where it comes before the draw, and their picture are computed once.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from core.search.budget import Cost
from core.search.calls import Calls
from core.search.events import Image
from core.search.previews import preview_bytes, preview_cost
from core.search.scoring import Scoring, Sight
from core.search.tree import Node

SEEDS = 2**63


def derive_seed(parent: int, index: int) -> int:
    """The seed of child `index`: a hash of its path, below 2**63."""
    data = parent.to_bytes(8, "big") + index.to_bytes(8, "big")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big") % SEEDS


@dataclass
class Held:
    """What memory holds of one node."""

    state: Any
    ahead: list = field(default_factory=list)   # states along child 0, one a step, as far as it was rolled out
    sights: dict[int, Sight] = field(default_factory=dict)   # by step

    def child_0(self, step: int) -> Held:
        return Held(self.ahead[0], self.ahead[1:], {s: v for s, v in self.sights.items() if s >= step})


class States:
    """`held` by node id."""

    def __init__(self, generator: Any, calls: Calls, scoring: Scoring):
        self._generator, self._calls, self._scoring = generator, calls, scoring
        self.held: dict[int, Held] = {}

    def of(self, nodes: Iterable[Node]) -> list[Any]:
        return [self.held[node.id].state for node in nodes]

    def add(self, held: dict[int, Held]) -> None:
        self.held |= held
        self._weigh()

    def let_go(self, ids: Iterable[int]) -> None:
        """Forget nodes; never the root, which may always grow."""
        for id in set(ids) - {0}:
            self.held.pop(id, None)

    def frozen(self, state: Any) -> str:
        return b64encode(self._generator.freeze(state)).decode()

    def path_flops(self, start: int, stop: int) -> float:
        """Generator FLOPs of one candidate from `start` decisions to `stop`."""
        return sum(self._generator.step_cost(step).flops_generator for step in range(start, stop))

    # Growing

    def children(self, born: Sequence[tuple[Node, int]]) -> list[Held]:
        """Children of nodes of one step, given as (parent, index), by a step of the generator."""
        step = born[0][0].step
        fresh = [(node, index) for node, index in born if not self._is_ahead(node, index)]
        grown = iter(self._step(
            step, self.of(node for node, _ in fresh), [derive_seed(node.seed, index) for node, index in fresh],
            [node.state for node, _ in fresh],
        ))
        return [
            self.held[node.id].child_0(step + 1) if self._is_ahead(node, index) else Held(next(grown))
            for node, index in born
        ]

    def varied(self, born: Sequence[tuple[Node, int]], step: int, vary: Callable[[list, list], list]) -> list[Held]:
        """Children at `step` that vary(states, seeds) makes otherwise than by a step: one pass each."""
        items = [(self.held[node.id].state, derive_seed(node.seed, index)) for node, index in born]
        generator, before, self._calls.step = self._generator, step - 1, step
        made = self._calls.batched(
            generator.step_cost(before), lambda batch: vary(*map(list, zip(*batch, strict=True))), items,
            generator.max_batch, generator.step_bytes(before),
        )
        return [Held(state) for state in made]

    def _is_ahead(self, node: Node, index: int) -> bool:
        return index == 0 and bool(self.held[node.id].ahead)

    def _step(self, step: int, states: Sequence[Any], seeds: Sequence[int], keys: Sequence[Hashable]) -> list[Any]:
        """One decision for every state. NFE and tokens count once a candidate, FLOPs once a forward pass.

        Where the pass comes before the draw, states with equal keys share one.
        """
        self._calls.step = step + 1
        shares = step in self._generator.sharing_steps
        groups = _groups(keys if shares else range(len(states)))
        one = self._generator.step_cost(step)
        draw, forward = Cost(nfe=one.nfe, tokens=one.tokens), Cost(flops_generator=one.flops_generator)

        def price(batch: Sequence[Sequence[int]]) -> Cost:
            return draw * sum(map(len, batch)) + forward * len(batch)

        def step_of(batch: Sequence[Sequence[int]]) -> list[tuple[int, Any]]:
            rows = [row for group in batch for row in group]
            shared = [states[group[0]] for group in batch for _ in group]   # one object where states are equal
            return list(zip(rows, self._generator.step(shared, [seeds[row] for row in rows]), strict=True))

        most, each = self._generator.max_batch, self._generator.step_bytes(step)
        grown = dict(self._calls.spread(groups, most, each, price, step_of))
        return [grown[row] for row in range(len(states))]

    # Looking

    def see(self, nodes: Sequence[Node], sight: int) -> dict[int, Sight]:
        """Every node's image at step `sight` along child 0, and its scores, by node."""
        unseen = [node for node in nodes if sight not in self.held[node.id].sights]
        if unseen:
            self._look(unseen, sight)
        return {node.id: self.held[node.id].sights[sight] for node in nodes}

    def _look(self, nodes: Sequence[Node], sight: int) -> None:
        last = sight == self._generator.num_steps
        self._roll(nodes, sight)
        self._calls.step = sight
        keys = [self._key(node, sight) for node in nodes]
        distinct = {key: self._tip(node, sight) for key, node in zip(keys, nodes, strict=True)}
        price = preview_cost(self._generator, sight) + Cost(images=last)
        pictures = self.preview(price, list(distinct.values()), sight)
        images = dict(zip(distinct, pictures, strict=True))
        for node, seen in zip(nodes, self._scoring.see([images[key] for key in keys], sight), strict=True):
            self.held[node.id].sights[sight] = seen
            if last and node.step == sight and "neighbours" not in self._generator.abilities:
                self.held[node.id].state = None   # a finished leaf is its image; a state may be megabytes

    def preview(self, price: Cost, states: Sequence[Any], step: int) -> list[Image]:
        """Decoded states that have come to `step`, at `price` each."""
        generator, each = self._generator, preview_bytes(self._generator, step)
        return self._calls.batched(price, generator.preview, states, generator.max_batch, each)

    def _roll(self, nodes: Sequence[Node], to_step: int) -> None:
        """Compute the states along child 0 up to `to_step`, those that inherited some from where they end."""
        for step in range(nodes[0].step, to_step):
            behind = [node for node in nodes if node.step + len(self.held[node.id].ahead) == step]
            tips = [self._tip(node, step) for node in behind]
            seeds = [_seed_ahead(node, step + 1) for node in behind]
            keys = [self._key(node, step) for node in behind]
            for node, state in zip(behind, self._step(step, tips, seeds, keys), strict=True):
                self.held[node.id].ahead.append(state)
        self._weigh()

    def _tip(self, node: Node, step: int) -> Any:
        """The state at `step` along child 0 of the node."""
        held = self.held[node.id]
        return held.state if step == node.step else held.ahead[step - node.step - 1]

    def _key(self, node: Node, step: int) -> Hashable:
        """Equal for equal states at `step` along child 0."""
        return node.state if step == node.step else self.frozen(self._tip(node, step))

    def _weigh(self) -> None:
        """Tell what the live states hold."""
        states = [state for held in self.held.values() for state in (held.state, *held.ahead) if state is not None]
        self._calls.live_bytes = self._generator.held_bytes(states)


def _seed_ahead(node: Node, step: int) -> int:
    """The seed at `step` along child 0."""
    seed = node.seed
    for _ in range(step - node.step):
        seed = derive_seed(seed, 0)
    return seed


def _groups(keys: Iterable[Hashable]) -> list[list[int]]:
    """The positions of equal keys, in the order in which each key first comes."""
    groups: dict[Hashable, list[int]] = {}
    for position, key in enumerate(keys):
        groups.setdefault(key, []).append(position)
    return list(groups.values())
