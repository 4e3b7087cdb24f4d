"""Searches with models of others on a Space whose GPU is lent for one call at a time (ZeroGPU).

The GPU belongs to a forked process for the length of one decorated call, and what lies on it does not outlive that. So
a comparison is one call: it goes in as specs and comes out as events, which a thread here collects, while the runner
computes for others. Prices are known from the same models on the CPU, which paint nothing there. The embedded models
need no GPU, and are searched with as everywhere.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any

from core.compare import race
from core.machine import on_zero_gpu
from core.place import choose
from core.search.errors import BadRequest, BeamscopeError
from core.search.events import Cancelled, Event, RunSpec
from core.search.scoring import named
from core.search.search import Search
from core.search.tree import Tree
from demo import strings
from demo.models import Models
from demo.settings import Plan

MOST = 120         # seconds that one call may take, unless BEAMSCOPE_GPU_SECONDS says otherwise
LOADING = 25       # seconds of them to load the models, the first time in a process
PACE = 60e12       # FLOP a second, about what a large model reaches on the cards that are lent
Lanes = Iterator[tuple[int, Event]]

_models: Models | None = None   # known to the forked process from before
_call: Callable[..., Lanes] | None = None


def start(models: Models) -> None:
    """Announce the one function that needs the GPU, in the main thread, before anything is served."""
    global _models, _call
    if not on_zero_gpu():
        return
    import spaces

    _models, _call = models, spaces.GPU(duration=lambda specs, shown, seconds: seconds)(_compute)
    if hasattr(spaces, "zero"):
        spaces.zero.startup()   # Gradio's own launch would do it


def _compute(specs: Sequence[RunSpec], shown: Sequence[bool], seconds: int) -> Lanes:
    """In the process that has the GPU: all lanes to their ends."""
    choose("cuda", None)
    models = _models
    yield from race(*(
        Search(models.generators[spec.generator].load(), {name: models.verifiers[name].load() for name in named(spec)},
               spec, display=display).run()
        for spec, display in zip(specs, shown, strict=True)
    ))  # fmt: skip


def borrowed(models: Models, plan: Plan, request: Any) -> Callable[[threading.Event], "Borrowed"] | None:
    """What computes a comparison on the GPU; None where it needs none, or none is lent here.

    request: of the visitor, whose allowance of GPU time it is. Raises BadRequest for what cannot be one call.
    """
    tables = (models.generators, models.verifiers)
    used = [table[name] for spec in plan.specs for table in tables for name in (spec.generator, *named(spec))
            if name in table]
    if _call is None or not any(entry.foreign for entry in used):
        return None
    if any(spec.chooser == "person" for spec in plan.specs):
        raise BadRequest(strings.NO_PERSON_ON_GPU)
    most = int(os.environ.get("BEAMSCOPE_GPU_SECONDS") or MOST)
    seconds = LOADING + round(sum(cost.flops + cost.flops_display for cost in plan.costs) / PACE)
    if seconds > most:
        raise BadRequest(strings.GPU_TOO_LONG.format(seconds=seconds, most=most))
    shown = [index == 0 for index in range(len(plan.specs))]
    return lambda cancel: Borrowed(plan.specs, shown, seconds, request, cancel)


class Borrowed:
    """The events of one call, as they come: an iterator that says whether it would have to wait."""

    def __init__(self, specs: Sequence[RunSpec], shown: Sequence[bool], seconds: int, request: Any,
                 cancel: threading.Event):
        self._specs, self._shown, self._seconds, self._cancel = specs, shown, seconds, cancel
        self._come: SimpleQueue[tuple[int, Event] | Exception | None] = SimpleQueue()
        context = copy_context()
        context.run(_ask_as, request)
        threading.Thread(target=context.run, args=(self._collect,), name="gpu", daemon=True).start()

    @property
    def idle(self) -> bool:
        return self._come.empty()

    def __iter__(self) -> "Borrowed":
        return self

    def __next__(self) -> tuple[int, Event]:
        item = self._come.get()
        if item is None:
            raise StopIteration
        if isinstance(item, Exception):
            raise item
        return item

    def _collect(self) -> None:
        trees, counts = [Tree() for _ in self._specs], [0 for _ in self._specs]
        call = _call(list(self._specs), self._shown, self._seconds)
        try:
            for lane, event in call:
                trees[lane], counts[lane] = trees[lane].apply(event), event.seq + 1
                self._come.put((lane, event))
                if self._cancel.is_set():
                    break
        except Exception as error:   # of the visitor's allowance, for one
            self._come.put(error if isinstance(error, BeamscopeError) else BadRequest(
                strings.GPU_FAILED.format(error=" ".join(str(error).split()) or type(error).__name__)))
        finally:
            call.close()   # which stops the process that has the GPU
        for lane, tree in enumerate(trees):
            if self._cancel.is_set() and tree.spec and not tree.end:
                best = tree.best()
                end = Cancelled(seq=counts[lane], seconds=tree.seconds, node=best.id if best else None)
                self._come.put((lane, end))
        self._come.put(None)


def _ask_as(request: Any) -> None:
    """Let the call be the visitor's, as it would be in an event of the page."""
    from gradio.context import LocalContext

    LocalContext.request.set(request)
