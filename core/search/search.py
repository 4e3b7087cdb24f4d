"""The primitives every strategy is made of: start, expand, score, keep, finish.

They are the only code that calls a model or a verifier. Each is a generator: it charges the ledger, calls the
model in one batch, yields events and returns nodes. It knows no tensors: states and images are opaque.

An image is fixed by its path of seeds alone. Looking ahead continues a node along its child 0, so what was
looked at is kept, with its scores, until the node grows, and child 0 then inherits it: nothing is paid twice.
"""

from __future__ import annotations

import logging
import math
from base64 import b64encode
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from time import perf_counter
from typing import Any, TypeVar

from core.search import events as ev
from core.search.budget import Budget, Cost, Ledger
from core.search.errors import BadRequest, BeamscopeError, BudgetExhausted
from core.search.strategies.registry import checked_params, get_strategy, require_branches
from core.search.tree import Node, Tree

T = TypeVar("T")
Steps = Generator[ev.Event, None, T]   # yields events, returns a T
SEEDS = 2**63

log = logging.getLogger(__name__)


def derive_seed(parent: int, index: int) -> int:
    """The seed of child `index`: a hash of its path, below 2**63."""
    data = parent.to_bytes(8, "big") + index.to_bytes(8, "big")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big") % SEEDS


@dataclass
class _Held:
    """What memory holds of a node that can still grow."""

    state: Any
    ahead: list = field(default_factory=list)   # states along child 0, one a step, as far as it was rolled out
    sights: dict[int, tuple[ev.Image, dict[str, float]]] = field(default_factory=dict)   # by step: seen, scored

    def child_0(self, step: int) -> _Held:
        return _Held(self.ahead[0], self.ahead[1:], {s: v for s, v in self.sights.items() if s >= step})


class _Stop(Exception):
    """The caller no longer wants the run."""


class Search:
    """One run of one strategy. `tree` and `ledger` are its whole public state.

    generator, verifiers: see core/generators/base.py and core/verifiers/base.py; `verifiers` holds the guide
    and the observers of `spec`. `cancelled` is asked before every model call. `display` also decodes and scores
    what the strategy does not need, to be looked at. Raises BadRequest or UnsupportedStrategy before any call.
    """

    def __init__(
        self,
        generator: Any,
        verifiers: Mapping[str, Any],
        spec: ev.RunSpec,
        cancelled: Callable[[], bool] = lambda: False,
        display: bool = True,
    ):
        self.params = checked_params(spec.strategy, spec.params, generator.num_steps)
        require_branches(spec.strategy, spec.generator, any(step > 0 for step in generator.branching_steps))
        check_spec(spec)
        _check_loaded(spec, verifiers)
        self.generator, self.verifiers, self.spec = generator, verifiers, spec
        self.cancelled, self.display = cancelled, display
        self.tree, self.ledger = Tree(), Ledger(Budget(spec.budget_flops))
        self._held: dict[int, _Held] = {}
        self._best_sight: tuple[ev.Image, dict[str, float]] | None = None
        self._next_seq, self._began = 0, perf_counter()

    # The run

    def run(self) -> Iterator[ev.Event]:
        """All events, from Started to one of Finished, Cancelled, Failed, whatever happens in between."""
        try:
            yield self._event(
                ev.Started, spec=self.spec, num_steps=self.generator.num_steps,
                step_labels=tuple(self.generator.step_labels),
            )
            reason = yield from self._until_budget(get_strategy(self.spec.strategy).run(self, **self.params))
            yield self._finished(reason)
        except _Stop:
            best = self.tree.best()
            yield self._event(ev.Cancelled, node=best.id if best else None)
        except Exception as error:
            if not isinstance(error, BeamscopeError):
                log.exception("the run failed")
            code = error.code if isinstance(error, BeamscopeError) else "model_error"
            yield self._event(ev.Failed, code=code, message=_one_line(error))

    def _until_budget(self, steps: Steps) -> Steps[str]:
        try:
            yield from steps
        except BudgetExhausted:
            if self.tree.best() is None:
                raise
            return "budget"
        return "done"

    def _finished(self, reason: str) -> ev.Event:
        """The end of the run: what every verifier says of the best image, unless it has said so already."""
        image, scores = self._best_sight
        unheard = [name for name in self.spec.observers if name not in scores]
        scores = scores | self._observe([image], unheard)[0]
        _, node, score = self.tree.improvements[-1]
        return self._event(ev.Finished, node=node, score=score, scores=scores, reason=reason)

    # Primitives

    def start(self) -> Steps[Node]:
        """The root: the bare prompt."""
        self._held[0] = _Held(self._call(Cost(), self.generator.start, self.spec.prompt))
        [root] = yield from self._add([(None, 0, self.spec.seed)], [self._held[0]])
        return root

    def finished(self, nodes: Sequence[Node]) -> bool:
        return all(node.step == self.generator.num_steps for node in nodes)

    def expand(self, nodes: Sequence[Node], branch: int) -> Steps[list[Node]]:
        """Grow nodes of one step by `branch` further children each, in one batch; siblings may share a pass.

        Where the generator does not branch a node has one child only: a second would be the same.
        """
        step = nodes[0].step
        born = [(node, index) for node in nodes for index in self._new_indices(node, branch)]
        if not born:
            return []
        fresh = [(node, index) for node, index in born if not self._is_ahead(node, index)]
        passes = len({node.id for node, _ in fresh}) if self.generator.siblings_share else len(fresh)
        grown = iter(self._step(
            step, [self._held[node.id].state for node, _ in fresh],
            [derive_seed(node.seed, index) for node, index in fresh], passes,
        ))
        held = [
            self._held[node.id].child_0(step + 1) if self._is_ahead(node, index) else _Held(next(grown))
            for node, index in born
        ]
        self.ledger.charge(Cost(flops_unshared=self._path_flops(0, step + 1) * len(born)))
        return (yield from self._add([(n, i, derive_seed(n.seed, i)) for n, i in born], held))

    def finish(self, nodes: Sequence[Node]) -> Steps[list[Node]]:
        """Grow each node to the last step by one child a step; the way there is let go."""
        while not self.finished(nodes):
            yield from self._show(nodes)
            parents, nodes = nodes, (yield from self.expand(nodes, 1))
            self._let_go(node.id for node in parents)
        return list(nodes)

    def score(self, nodes: Sequence[Node], look: ev.Look = "preview") -> Steps[list[Node]]:
        """Let the verifiers judge nodes of one step, each as far ahead as `look` says, unless they have."""
        sight, seen = self._sight(nodes[0].step, look)
        nodes = [node for node in self._now(nodes) if node.look != seen]
        if not nodes:
            return []
        if sight > nodes[0].step:
            yield from self._show(nodes)
        self._see(nodes, sight)
        sights = {node.id: self._held[node.id].sights[sight] for node in nodes}
        finished = sight == self.generator.num_steps
        yield self._event(
            ev.Scored, look=seen, finished=finished,
            scores={id: scores for id, (_, scores) in sights.items()},
            images={id: image for id, (image, _) in sights.items()},
        )
        if finished:
            yield from self._improve(self._now(nodes))
        return self._now(nodes)

    def keep(
        self, nodes: Sequence[Node], width: int, look: ev.Look = "preview", rule: str = "beam_rank"
    ) -> Steps[list[Node]]:
        """Score, rank, keep the `width` best and let the others and all that led here go."""
        yield from self.score(nodes, look)
        ranked = sorted(self._now(nodes), key=_rank)
        kept = ranked[:width]
        yield self._event(
            ev.Pruned, step=nodes[0].step, ranks={node.id: rank for rank, node in enumerate(ranked)},
            kept=tuple(node.id for node in kept), rule=rule, cut=kept[-1].score,
            look=self._sight(nodes[0].step, look)[1],
        )
        passed = {above.id for node in nodes for above in self.tree.path(node.id)[1:-1]}
        self._let_go(passed | {node.id for node in ranked[width:]})
        return self._now(kept)

    # Looking ahead

    def _sight(self, step: int, look: ev.Look) -> tuple[int, ev.Seen]:
        """The step whose image `look` shows of a node at `step`, and what that image is."""
        last = self.generator.num_steps
        sight = {"preview": step, "rollout": last}.get(look) if isinstance(look, str) else max(step, look)
        if step == last:
            return last, "final"
        if sight in (step, last):
            return sight, "preview" if sight == step else "rollout"
        return sight, look

    def _see(self, nodes: Sequence[Node], sight: int) -> None:
        """Have every node's image at step `sight` along child 0, and its scores, in memory."""
        self.ledger.charge(Cost(flops_unshared=self._path_flops(nodes[0].step, sight) * len(nodes)))
        unseen = [node for node in nodes if sight not in self._held[node.id].sights]
        if not unseen:
            return
        self._roll(unseen, sight)
        price = self.generator.decode_cost * len(unseen)
        images = self._call(price, self.generator.preview, [self._tip(node, sight) for node in unseen])
        for node, image, scores in zip(unseen, images, self._verify(images), strict=True):
            self._held[node.id].sights[sight] = (image, scores)
            if node.step == sight == self.generator.num_steps:
                self._held[node.id].state = None   # a finished leaf is its image; a state may be megabytes

    def _roll(self, nodes: Sequence[Node], to_step: int) -> None:
        """Compute the states along child 0 up to `to_step`, those that inherited some from where they end."""
        for step in range(nodes[0].step, to_step):
            behind = [node for node in nodes if node.step + len(self._held[node.id].ahead) == step]
            tips = [self._tip(node, step) for node in behind]
            seeds = [self._seed_ahead(node, step + 1) for node in behind]
            for node, state in zip(behind, self._step(step, tips, seeds, len(behind)), strict=True):
                self._held[node.id].ahead.append(state)

    def _tip(self, node: Node, step: int) -> Any:
        """The state at `step` along child 0 of the node."""
        held = self._held[node.id]
        return held.state if step == node.step else held.ahead[step - node.step - 1]

    def _seed_ahead(self, node: Node, step: int) -> int:
        seed = node.seed
        for _ in range(step - node.step):
            seed = derive_seed(seed, 0)
        return seed

    # Verifiers and pictures

    def _verify(self, images: Sequence[ev.Image]) -> list[dict[str, float]]:
        """The guide's score of every image, and the observers' where there is a display."""
        guide = self.spec.verifier
        scores = self._score(guide, self.verifiers[guide].cost, images)
        seen = self._observe(images, self.spec.observers if self.display else ())
        return [{guide: score} | others for score, others in zip(scores, seen, strict=True)]

    def _observe(self, images: Sequence[ev.Image], observers: Sequence[str]) -> list[dict[str, float]]:
        columns = {
            name: self._score(name, self.verifiers[name].cost.for_display(), images) for name in observers
        }
        return [{name: column[i] for name, column in columns.items()} for i in range(len(images))]

    def _score(self, name: str, price: Cost, images: Sequence[ev.Image]) -> list[float]:
        scores = self._call(price * len(images), self.verifiers[name].score, self.spec.prompt, images)
        scores = [float(score) for score in scores]
        if len(scores) != len(images) or not all(map(math.isfinite, scores)):
            raise BeamscopeError(f"verifier {name} gave {scores} for {len(images)} images: one finite number each")
        return scores

    def _show(self, nodes: Sequence[Node]) -> Steps[None]:
        """Decode nodes only to be looked at, where there is a display. No strategy depends on it."""
        bare = [node for node in self._now(nodes) if node.step and not node.has_preview]
        if bare and self.display:
            price = self.generator.decode_cost.for_display() * len(bare)
            images = self._call(price, self.generator.preview, [self._held[node.id].state for node in bare])
            yield self._event(ev.Previewed, images={n.id: image for n, image in zip(bare, images, strict=True)})

    def _improve(self, nodes: Sequence[Node]) -> Steps[None]:
        """Elitism: the result is the best finished image so far, wherever it was seen."""
        best = min(nodes, key=_rank)
        if not self.tree.improvements or best.score > self.tree.improvements[-1][2]:
            self._best_sight = self._held[best.id].sights[self.generator.num_steps]
            yield self._event(ev.Improved, node=best.id, score=best.score)

    # The one door to the models, and to the tree

    def _step(self, step: int, states: Sequence[Any], seeds: Sequence[int], passes: int) -> list[Any]:
        """One decision for every state. A pass counts once a candidate, its FLOPs once a forward pass."""
        if not states:
            return []
        one = self.generator.step_cost(step)
        per_candidate = Cost(nfe=one.nfe, tokens=one.tokens)
        shared = Cost(flops_generator=one.flops_generator)
        return self._call(per_candidate * len(states) + shared * passes, self.generator.step, states, seeds)

    def _call(self, price: Cost, model: Callable, *args: Any) -> Any:
        if self.cancelled():
            raise _Stop
        self.ledger.charge(price)
        began = perf_counter()
        try:
            return model(*args)
        finally:
            self.ledger.clock(perf_counter() - began)

    def _path_flops(self, start: int, stop: int) -> float:
        return sum(self.generator.step_cost(step).flops_generator for step in range(start, stop))

    def _new_indices(self, node: Node, branch: int) -> range:
        born = len(self.tree.children(node.id))
        return range(born, born + branch if node.step in self.generator.branching_steps else 1)

    def _is_ahead(self, node: Node, index: int) -> bool:
        return index == 0 and bool(self._held[node.id].ahead)

    def _add(self, births: Sequence[tuple[Node | None, int, int]], held: Sequence[_Held]) -> Steps[list[Node]]:
        """Put new nodes, given as (parent, index, seed), into the tree."""
        first, step = len(self.tree.nodes), births[0][0].step + 1 if births[0][0] else 0
        flops = self._path_flops(0, step)
        nodes = tuple(
            ev.NewNode(id, parent.id if parent else None, step, index, seed, self._frozen(one.state), flops)
            for id, (parent, index, seed), one in zip(range(first, SEEDS), births, held, strict=False)
        )
        self._held |= {node.id: one for node, one in zip(nodes, held, strict=True)}
        yield self._event(ev.Expanded, step=step, nodes=nodes)
        return self._now(nodes)

    def _frozen(self, state: Any) -> str:
        return b64encode(self.generator.freeze(state)).decode()

    def _now(self, nodes: Iterable[Node | ev.NewNode]) -> list[Node]:
        """The nodes as the tree knows them now."""
        return [self.tree.nodes[node.id] for node in nodes]

    def _let_go(self, ids: Iterable[int]) -> None:
        for id in set(ids) - {0}:
            self._held.pop(id, None)

    def _event(self, kind: type[ev.Event], **fields: Any) -> ev.Event:
        """The next event, carrying what was spent since the last one, folded into the tree."""
        event = kind(seq=self._next_seq, seconds=perf_counter() - self._began, cost=self.ledger.report(), **fields)
        self._next_seq += 1
        self.tree = self.tree.apply(event)
        return event


def _rank(node: Node) -> tuple[float, int]:
    return -node.score, node.id


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())[:500]
    return text if isinstance(error, BeamscopeError) else f"{type(error).__name__}: {text}"


def check_spec(spec: ev.RunSpec) -> None:
    """Raises BadRequest when the prompt, the seed or the budget is impossible."""
    if not spec.prompt.strip():
        raise BadRequest("the prompt is empty: say what the picture should show")
    if not isinstance(spec.seed, int) or not 0 <= spec.seed < SEEDS:
        raise BadRequest(f"seed {spec.seed!r} is impossible: it is a whole number from 0 to {SEEDS - 1}")
    if spec.budget_flops is not None and not 0 < spec.budget_flops < math.inf:
        raise BadRequest(f"a budget of {spec.budget_flops / 1e9:g} GFLOP is impossible: it is a positive number")


def _check_loaded(spec: ev.RunSpec, verifiers: Mapping[str, Any]) -> None:
    missing = {spec.verifier, *spec.observers} - set(verifiers)
    if missing:
        raise BadRequest(f"verifier {', '.join(sorted(missing))} is not loaded: loaded are {', '.join(verifiers)}")
