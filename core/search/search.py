"""One run of one strategy, from Started to Finished, Cancelled or Failed, whatever happens in between."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from time import perf_counter
from typing import Any

from core.search import events as ev
from core.search.budget import Cost, Ledger
from core.search.calls import Calls, Stop
from core.search.checks import check_spec
from core.search.errors import BeamscopeError, BudgetExhausted, OutOfMemory, is_hopeless, is_out_of_memory
from core.search.finalists import Finalist
from core.search.guide import Guide
from core.search.memory import let_go
from core.search.previews import preview_cost
from core.search.primitives import Primitives, Steps, rank
from core.search.retry import halved as halved_said
from core.search.retry import narrowed, out_of_memory, smaller
from core.search.scoring import check_loaded, named
from core.search.steering import Hands
from core.search.strategies.registry import checked_params, get_strategy, require_abilities

log = logging.getLogger(__name__)


class Search(Primitives):
    """One run. `tree` and `ledger` are its whole public state.

    `verifiers` holds all that guide, judge or observe. `cancelled` is asked before every model call. `memory_limit`,
    in bytes, is for weights, live states and the batch at work: calls are split to stay within it. For the rest see
    Primitives. Raises BadRequest or UnsupportedStrategy before any call.
    """

    def __init__(
        self,
        generator: Any,
        verifiers: Mapping[str, Any],
        spec: ev.RunSpec,
        cancelled: Callable[[], bool] = lambda: False,
        display: bool = True,
        memory_limit: int | None = None,
        hands: Hands | None = None,
    ):
        self.params = checked_params(spec.strategy, spec.params, generator.num_steps)
        require_abilities(spec.strategy, spec.generator, generator.abilities)
        check_spec(spec, generator.num_steps)
        check_loaded(spec, verifiers)
        self._owed = verifiers[spec.judge].cost * spec.finalists if spec.judge else Cost()
        self.insurance = Cost()
        if get_strategy(spec.strategy).adaptive:
            self.insurance = _one_image(generator, verifiers, spec)
        self._lost = Cost()   # spent before the strategy last began
        ledger = Ledger(spec.budget, self._owed + self.insurance)
        weights = sum(model.weights_bytes for model in (generator, *(verifiers[name] for name in named(spec))))
        super().__init__(generator, verifiers, spec, Calls(ledger, cancelled, memory_limit, weights), display, hands)

    def run(self) -> Iterator[ev.Event]:
        """All events, from Started to one of Finished, Cancelled, Failed, whatever happens in between.

        What the caller does between two of them takes no time of the run: other searches may have the models.
        """
        for event in self._events():
            left = perf_counter()
            yield event
            self._calls.excuse(perf_counter() - left)

    def _events(self) -> Iterator[ev.Event]:
        failed = None
        try:
            yield self._event(
                ev.Started, spec=self.spec, num_steps=self.generator.num_steps,
                step_labels=tuple(self.generator.step_labels),
            )
            reason = yield from self._whatever_memory()
            yield from self._conclude(reason)
        except Stop:
            best = self.tree.best()
            yield self._event(ev.Cancelled, node=best.id if best else None)
        except Exception as error:
            failed = self._failure(error)   # told below: here the error still holds on to what filled the memory
        if failed:
            yield self._event(ev.Failed, **failed)

    def _failure(self, error: Exception) -> dict[str, Any]:
        """What the log keeps of an error. Where memory is used up, the states of the run are let go."""
        if is_out_of_memory(error):
            log.warning("the run ended: %s", error)
            self._states.held.clear()
            self._finalists.ranked.clear()
            step = self._calls.step
            message = out_of_memory(self.tree, step, is_hopeless(error))
            if isinstance(error, OutOfMemory):   # the model's own words say how much there is room for
                message += f" ({_one_line(error)})"
            return {"code": OutOfMemory.code, "message": message, "step": step}
        if not isinstance(error, BeamscopeError):
            log.exception("the run failed")
        code = error.code if isinstance(error, BeamscopeError) else "model_error"
        return {"code": code, "message": _one_line(error)}

    def _whatever_memory(self) -> Steps[str]:
        """The strategy to its end. Where memory is used up it begins anew and smaller, as long as that may help.

        Where a person chooses it is not: their choices would be lost.
        """
        while True:
            try:
                return (yield from self._until_budget(get_strategy(self.spec.strategy).run(self, **self.params)))
            except Exception as error:
                less = smaller(self.tree.spec_now) if is_out_of_memory(error) else None
                if less is None or self.spec.chooser == "person" or is_hopeless(error):
                    raise
                log.warning("the search begins anew with %s %d: %s", *less, error)
            yield from self._begin_anew(less)   # here, where the error no longer holds on to what filled the memory

    def _begin_anew(self, less: tuple[str, int]) -> Steps[None]:
        """Let all states go. What was spent stays told, and the budget does not count it a second time."""
        self._states.held.clear()
        let_go()
        yield from self._halved()
        self.params = {**self.params, less[0]: less[1]}
        self.ledger.forgive(self._since_start())
        lost = tuple(node.id for node in self.tree.nodes.values() if node.parent is not None
                     and node.status in ("live", "kept"))
        step = self._calls.step
        yield self._event(ev.Shrunk, step=step, message=narrowed(self.tree, step, less), params=dict([less]),
                          given_up=lost)

    def _since_start(self) -> Cost:
        """What was spent since the strategy last began."""
        spent, before = self.ledger.spent, self._lost
        self._lost = spent
        return spent + -1 * before

    def _halved(self) -> Steps[None]:
        """Tell of the calls that were made in parts because memory was too small."""
        halved, self._calls.halved = self._calls.halved, []
        for step, size in halved:
            yield self._event(ev.Shrunk, step=step, message=halved_said(self.tree, step, size))

    def _until_budget(self, steps: Steps) -> Steps[str]:
        try:
            for event in steps:
                if isinstance(event, ev.Improved):   # there is an image: its insurance is not needed any more
                    self.ledger.reserved = self._owed
                yield event
                yield from self._halved()
        except BudgetExhausted as end:
            if self.tree.best() is None:
                yield from self._hurry(end)
            return "budget"
        return "done"

    def _hurry(self, end: BudgetExhausted) -> Steps[None]:
        """Finish the best prefix of a run that time, or spending that was not foreseen, has ended without an image.

        The price of that is insured; else, where a sized run has no image to return, `end` goes on.
        """
        if not self.insurance.nfe and self._calls.seconds < (self.spec.budget_seconds or math.inf):
            raise end
        self.ledger.budget, self.ledger.reserved = replace(self.ledger.budget, seconds=None), self._owed
        if not self._states.held:
            yield from self.start()
        front = [self.tree.nodes[id] for id, held in self._states.held.items() if held.state is not None]
        best = min(front, key=lambda node: (-node.step, *rank(node)))
        yield from self.score((yield from self.finish([best])))

    def _conclude(self, reason: str) -> Steps[None]:
        """The end of the run: a person's or the judge's choice, if any, and what every verifier says of the result."""
        result = self._finalists.result
        if self._finalists.picked:
            yield self._event(ev.Picked, node=result.node, images={result.node: result.sight.image})
        elif self.spec.judge:
            result = yield from self._judge()
        yield from self._halved()
        yield self._event(
            ev.Finished, node=result.node, score=result.score, scores=self._scoring.observed(result.sight),
            reason=reason,
        )

    def _judge(self) -> Steps[Finalist]:
        self.ledger.reserved = Cost()
        finalists = self._finalists.ranked
        scores = self._scoring.judged([finalist.sight for finalist in finalists])
        first = max(range(len(scores)), key=lambda i: (scores[i], -i))
        chosen = finalists[first]
        yield self._event(
            ev.Judged, judge=self.spec.judge, node=chosen.node,
            scores={finalist.node: said for finalist, said in zip(finalists, scores, strict=True)},
            images={finalist.node: finalist.sight.image for finalist in finalists},
        )
        said = chosen.sight.scores | {self.spec.judge: scores[first]}
        return replace(chosen, sight=replace(chosen.sight, scores=said))


def _one_image(generator: Any, verifiers: Mapping[str, Any], spec: ev.RunSpec) -> Cost:
    """What it takes to finish one image from where the run begins: kept back where spending cannot be foreseen."""
    begun = spec.origin.step if spec.origin else 0
    steps = (generator.step_cost(step) for step in range(begun, generator.num_steps))
    guides = (verifiers[name].cost for name in Guide.parse(spec.verifier).members)
    return sum([*steps, *guides], preview_cost(generator, generator.num_steps) + Cost(images=1))


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())[:500]
    return text if isinstance(error, BeamscopeError) else f"{type(error).__name__}: {text}"
