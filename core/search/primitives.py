"""The primitives every strategy is made of: start, expand, score, keep, finish, and for some renoise and resample.

They are the only code that calls a model or a verifier. Each is a generator: it charges the ledger, calls the
model in batches, yields events and returns nodes. It knows no tensors: states and images are opaque.

An image is fixed by its path of seeds alone; core/search/states.py computes each once.
"""

from __future__ import annotations

import math
from base64 import b64decode
from collections.abc import Callable, Generator, Hashable, Iterable, Mapping, Sequence
from random import Random
from typing import Any, TypeVar

from core.search import events as ev
from core.search import steering
from core.search.budget import Cost
from core.search.calls import Calls
from core.search.finalists import Finalist, Finalists
from core.search.previews import preview_cost
from core.search.scoring import Scoring, Sight
from core.search.states import SEEDS, Held, States, derive_seed
from core.search.steering import Hands
from core.search.tree import GIVEN_UP, Node, Tree

T = TypeVar("T")
Steps = Generator[ev.Event, None, T]   # yields events, returns a T


class Primitives:
    """What a strategy is given. `tree` and `ledger` are its whole public state.

    generator, verifiers: see core/generators/base.py and core/verifiers/base.py. `display` also decodes and scores
    what the strategy does not need, to be looked at. `hands`: the person who may choose, pin and forbid; without one
    the verifier chooses.
    """

    def __init__(
        self,
        generator: Any,
        verifiers: Mapping[str, Any],
        spec: ev.RunSpec,
        calls: Calls,
        display: bool = True,
        hands: Hands | None = None,
    ):
        self.generator, self.verifiers, self.spec, self.display = generator, verifiers, spec, display
        self.hands = hands or Hands(away=True)
        self.tree, self.ledger, self._calls = Tree(), calls.ledger, calls
        self._scoring = Scoring(calls, spec, verifiers, display)
        self._states = States(generator, calls, self._scoring)
        self._finalists = Finalists(spec.finalists if spec.judge else 1)
        self._next_seq = 0

    # What strategies ask

    @property
    def num_steps(self) -> int:
        return self.generator.num_steps

    @property
    def handover_step(self) -> int:
        """The number of coarse scales of a generator that hands over to diffusion after them; 0 for any other."""
        return self.generator.handover_step if "handover" in self.generator.abilities else 0

    @property
    def best_score(self) -> float | None:
        """The guide's score of the best finished image so far."""
        return self.tree.improvements[-1][2] if self.tree.improvements else None

    def finished(self, nodes: Sequence[Node]) -> bool:
        return all(node.step == self.num_steps for node in nodes)

    def signature(self, nodes: Sequence[Node]) -> list[list[float]]:
        """A vector for each node; near vectors look alike."""
        return self.generator.signature(self._states.of(nodes))

    def random(self, *key: Hashable) -> Random:
        """A source of chance that the run's seed and the key fix."""
        return Random(f"{self.spec.seed} {key}")

    # Growing

    def start(self) -> Steps[Node]:
        """The root: the bare prompt, or the node of an earlier run from which this one goes on."""
        origin = self.spec.origin
        held = Held(self._thawed(origin) if origin else self._begun())
        if self.tree.nodes:   # anew: what grew before stays in the tree
            self._states.add({0: held})
            return self.tree.nodes[0]
        [root] = yield from self._add(
            [(None, 0, self.spec.seed)], [held], origin.step if origin else 0, "thaw" if origin else "step"
        )
        yield from self._show([root])
        return self.tree.nodes[0]

    def _begun(self) -> Any:
        return self._calls.one(self.generator.start_cost, self.generator.start, self.spec.prompt)

    def _thawed(self, origin: ev.Origin) -> Any:
        """The state of the earlier run's node, its path computed again and paid for."""
        price = sum((self.generator.step_cost(step - 1) for step in origin.path), self.generator.start_cost)
        return self._calls.one(price, self.generator.thaw, self.spec.prompt, b64decode(origin.state))

    def expand(self, nodes: Sequence[Node], branch: int | Sequence[int]) -> Steps[list[Node]]:
        """Grow nodes of one step by `branch` further children each, or each by its own number.

        Where the generator does not branch a node has one child only: a second would be the same.
        """
        yield from self._obey()
        yield from self._show(nodes)
        step = nodes[0].step
        branch = _each(branch, nodes)
        if step not in self.generator.branching_steps:
            branch = [min(b, not self._has_grown(node)) for b, node in zip(branch, nodes, strict=True)]
        born = self._births(nodes, branch)
        if not born:
            return []
        return (yield from self._add_children(born, self._states.children(born), step + 1, "step"))

    def renoise(self, nodes: Sequence[Node], step: int, branch: int) -> Steps[list[Node]]:
        """`branch` children of each node that have been carried back, or handed over, to the noise of `step`."""
        def back(states: list, seeds: list) -> list:
            return self.generator.renoise(states, step, seeds)

        return (yield from self._varied(nodes, branch, step, "renoise", back))

    def neighbours(self, nodes: Sequence[Node], branch: int, closeness: float) -> Steps[list[Node]]:
        """`branch` children of each node after the first step, their noise at cosine `closeness` to its first."""
        def near(states: list, seeds: list) -> list:
            return self.generator.neighbours(states, seeds, closeness)

        return (yield from self._varied(nodes, branch, 1, "neighbour", near))

    def _varied(
        self, nodes: Sequence[Node], branch: int, step: int, made: ev.Made, vary: Callable[[list, list], list]
    ) -> Steps[list[Node]]:
        yield from self._show(nodes)
        born = self._births(nodes, _each(branch, nodes))
        return (yield from self._add_children(born, self._states.varied(born, step, vary), step, made))

    def advance(self, nodes: Sequence[Node], step: int) -> Steps[list[Node]]:
        """Grow nodes of one step by one child a step up to `step`; the way there is let go."""
        while nodes[0].step < step:
            parents, nodes = nodes, (yield from self.expand(nodes, 1))
            self._states.let_go(node.id for node in parents)
        return list(nodes)

    def finish(self, nodes: Sequence[Node]) -> Steps[list[Node]]:
        """Grow each node to the last step."""
        return (yield from self.advance(nodes, self.num_steps))

    # Choosing

    def score(self, nodes: Sequence[Node], look: ev.Look = "preview") -> Steps[list[Node]]:
        """Let the verifiers judge nodes of one step, each as far ahead as `look` says, unless they have."""
        sight, seen = self._sight(nodes[0].step, look)
        unseen = [node for node in self._now(nodes) if node.look != seen]
        if not unseen:
            return self._now(nodes)
        if sight > nodes[0].step:
            yield from self._show(unseen)
        sights = self._see(unseen, sight)
        finished = sight == self.num_steps
        yield self._event(
            ev.Scored, look=seen, finished=finished,
            scores={id: sight.scores for id, sight in sights.items()},
            images={id: sight.image for id, sight in sights.items()},
        )
        if finished:
            yield from self._improve(sights)
        return self._now(nodes)

    def keep(
        self, nodes: Sequence[Node], width: int, look: ev.Look = "preview", rule: str = "beam_rank",
        choose: Callable[[list[Node]], list[Node]] | None = None,
    ) -> Steps[list[Node]]:
        """Score, rank, keep the `width` best, or those that `choose` picks of the ranked; let all others go.

        Where a person chooses they are asked first, and what they pinned or forbade holds in any case.
        """
        nodes = yield from self.score(nodes, look)
        yield from self._obey()
        ranked = sorted(self._now(nodes), key=rank)
        answer = yield from self._ask(steering.allowed(self.tree, ranked), width)
        ranked = self._now(ranked)
        able = steering.allowed(self.tree, ranked)
        usual = (choose(able) if choose else able)[:width]
        kept = [node for id in answer for node in able if node.id == id] or usual
        kept = steering.with_pins(self.tree, able, kept, width, spare=self.finished(ranked))
        if answer and self.finished(ranked):
            self._pick(kept, usual)
        return (yield from self._prune(ranked, kept, rule, look, by="person" if answer else "verifier"))

    def resample(self, nodes: Sequence[Node], counts: Sequence[int], rule: str = "resampled") -> Steps[list[Node]]:
        """Keep the nodes with copies left, in the order given; counts[i] is how many children node i is to have.

        What a person pinned or forbade may move copies: those of the nodes returned say how many there are.
        """
        yield from self._obey()
        ranked = sorted(self._now(nodes), key=rank)
        counts = steering.copies_with_marks(self.tree, nodes, counts)
        copies = {node.id: count for node, count in zip(nodes, counts, strict=True) if count}
        kept = [node for node in nodes if node.id in copies]
        return (yield from self._prune(ranked, kept, rule, ranked[0].look or "preview", copies))

    def drop(self, nodes: Sequence[Node], rule: str) -> Steps[None]:
        """Prune nodes without keeping any."""
        if nodes:
            yield from self._prune(sorted(self._now(nodes), key=rank), [], rule, nodes[0].look or "preview")

    def release(self, nodes: Sequence[Node]) -> None:
        """Forget the states of nodes that will not grow again. Not a generator: nothing is to be told."""
        self._states.let_go(node.id for node in nodes)

    def _prune(
        self, ranked: Sequence[Node], kept: Sequence[Node], rule: str, look: ev.Look,
        copies: Mapping[int, int] | None = None, by: ev.Chooser = "verifier",
    ) -> Steps[list[Node]]:
        yield from self._show([node for node in ranked if node.score is None])
        marks = steering.marks_of(self.tree, ranked)
        scores = [node.score for node in kept if node.score is not None and marks.get(node.id) != "pin"]
        yield self._event(
            ev.Pruned, step=ranked[0].step, ranks={node.id: rank for rank, node in enumerate(ranked)},
            kept=tuple(node.id for node in kept), rule=rule, cut=min(scores, default=None),
            look=self._sight(ranked[0].step, look)[1], copies=dict(copies or {}), by=by,
            marks=marks,
        )
        stay = {node.id for node in kept}
        passed = {above.id for node in ranked for above in self.tree.path(node.id)[1:-1]}
        self._states.let_go((passed | {node.id for node in ranked}) - stay)
        return self._now(kept)

    def _sight(self, step: int, look: ev.Look) -> tuple[int, ev.Seen]:
        """The step whose image `look` shows of a node at `step`, and what that image is."""
        last = self.num_steps
        if step == last:
            return last, "final"
        sight = {"preview": step, "rollout": last}.get(look) if isinstance(look, str) else max(step, look)
        if sight in (step, last):
            return sight, "preview" if sight == step else "rollout"
        return sight, look

    def _see(self, nodes: Sequence[Node], sight: int) -> dict[int, Sight]:
        """What the verifiers make of nodes as they will be at step `sight`, by node."""
        ahead, alone = sight - nodes[0].step, self._states.path_flops(nodes[0].step, sight)
        self.ledger.charge(Cost(nfe_paper=ahead * len(nodes), flops_unshared=alone * len(nodes)))
        return self._states.see(nodes, sight)

    # A person

    def _obey(self) -> Steps[None]:
        """Tell of every node that was pinned, forbidden or freed since the last time."""
        while order := self.hands.take_order():
            yield self._event(ev.Steered, node=order[0], action=order[1])

    def _ask(self, ranked: Sequence[Node], width: int) -> Steps[tuple[int, ...]]:
        """The ids that a person keeps of the ranked, best first; none where the verifier decides."""
        if self.spec.chooser != "person" or self.hands.away or len(ranked) <= width:
            return ()
        question = self._event(
            ev.Asked, step=ranked[0].step, candidates=tuple(node.id for node in ranked), keep=width
        )
        self.hands.ask(question)
        yield question
        yield from self._obey()
        self._calls.require_wanted()
        return self.hands.take_answer() or ()

    def _pick(self, kept: Sequence[Node], usual: Sequence[Node]) -> None:
        """Remember the finished image that a person put first, unless they chose as the verifier would have."""
        same = [node.id for node in kept] == [node.id for node in usual]
        sight = self._states.held[kept[0].id].sights[self.num_steps]
        self._finalists.picked = None if same else Finalist(kept[0].score, kept[0].id, sight)

    # Showing

    def _show(self, nodes: Sequence[Node]) -> Steps[None]:
        """Decode nodes only to be looked at, where there is a display. No strategy depends on it."""
        bare = [node for node in self._now(nodes) if node.step and not (node.has_preview or self._is_image(node))]
        if bare and self.display:
            step = max(node.step for node in bare)
            price = preview_cost(self.generator, step).for_display()
            images = self._states.preview(price, self._states.of(bare), step)
            yield self._event(ev.Previewed, images={n.id: image for n, image in zip(bare, images, strict=True)})

    def _is_image(self, node: Node) -> bool:
        """Whether the node's own finished image has been decoded."""
        return node.has_final and node.step == self.num_steps

    def _improve(self, sights: Mapping[int, Sight]) -> Steps[None]:
        """The finished images among those of the run; what a person forbade only where there is no other."""
        best = self.best_score
        able = [id for id in sights if not steering.is_forbidden(self.tree, id)]
        if not (able or self._finalists.ranked):
            able = list(sights)
        self._finalists.add(Finalist(sights[id].scores[self.spec.verifier], id, sights[id]) for id in able)
        first = self._finalists.ranked[0]
        if best is None or first.score > best:
            yield self._event(ev.Improved, node=first.node, score=first.score)

    # The models, and the tree

    def _births(self, nodes: Sequence[Node], branch: Sequence[int]) -> list[tuple[Node, int]]:
        """(parent, index) of further children; a node that is given twice has the second lot after the first."""
        born = {node.id: len(self.tree.children(node.id)) for node in nodes}
        births = []
        for node, count in zip(nodes, branch, strict=True):
            births += [(node, index) for index in range(born[node.id], born[node.id] + count)]
            born[node.id] += count
        return births

    def _has_grown(self, node: Node) -> bool:
        return any(child.made == "step" and child.rule != GIVEN_UP for child in self.tree.children(node.id))

    def _add_children(
        self, born: Sequence[tuple[Node, int]], held: Sequence[Held], step: int, made: ev.Made
    ) -> Steps[list[Node]]:
        children = yield from self._add([(n, i, derive_seed(n.seed, i)) for n, i in born], held, step, made)
        return children

    def _add(
        self, births: Sequence[tuple[Node | None, int, int]], held: Sequence[Held], step: int, made: ev.Made
    ) -> Steps[list[Node]]:
        """Put new nodes at `step`, given as (parent, index, seed), into the tree."""
        first = len(self.tree.nodes)
        nodes = tuple(
            ev.NewNode(
                id, parent.id if parent else None, step, index, seed, self._states.frozen(one.state),
                self._flops_alone(parent, step, made), made,
            )
            for id, (parent, index, seed), one in zip(range(first, SEEDS), births, held, strict=False)
        )
        steps = self._path_steps() if births[0][0] is None else len(nodes)
        self.ledger.charge(Cost(nfe_paper=steps, flops_unshared=sum(node.flops for node in nodes)))
        self._states.add({node.id: one for node, one in zip(nodes, held, strict=True)})
        yield self._event(ev.Expanded, step=step, nodes=nodes)
        return self._now(nodes)

    def _flops_alone(self, parent: Node | None, step: int, made: ev.Made) -> float:
        """Generator FLOPs of the path to a new node. A neighbour needs of its parent no more than the first noise."""
        read = self.generator.start_cost.flops_generator
        if parent is None:
            path = self.spec.origin.path if self.spec.origin else ()
            return read + sum(self._states.path_flops(before - 1, before) for before in path)
        return (read if made == "neighbour" else parent.flops) + self._states.path_flops(step - 1, step)

    def _path_steps(self) -> int:
        """Steps to the root: none to the bare prompt."""
        return len(self.spec.origin.path) if self.spec.origin else 0

    def _now(self, nodes: Iterable[Node | ev.NewNode]) -> list[Node]:
        """The nodes as the tree knows them now."""
        return [self.tree.nodes[node.id] for node in nodes]

    def _event(self, kind: type[ev.Event], **fields: Any) -> ev.Event:
        """The next event, carrying what was spent since the last one, folded into the tree."""
        event = kind(seq=self._next_seq, seconds=self._calls.seconds, cost=self.ledger.report(), **fields)
        self._next_seq += 1
        self.tree = self.hands.tree = self.tree.apply(event)
        return event


def _each(branch: int | Sequence[int], nodes: Sequence[Node]) -> list[int]:
    return [branch] * len(nodes) if isinstance(branch, int) else list(branch)


def rank(node: Node) -> tuple[float, int]:
    """What nodes are sorted by: the highest score first, the unscored last, then the oldest."""
    return math.inf if node.score is None else -node.score, node.id
