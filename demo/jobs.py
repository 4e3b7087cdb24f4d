"""One comparison that is being computed: its lanes, who may do what to it, and how far it is.

It knows no threads: demo/runner.py decides whose turn it is.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Literal

from core.compare import race
from core.machine import memory_limit
from core.search.errors import BadRequest
from core.search.events import Event, Expanded, Pruned, RunSpec
from core.search.search import Search
from core.search.steering import Hands
from core.store.runs import RunStore, RunWriter
from demo.models import Models
from demo.strings import BAD_ACTION
from demo.view import MAX_DRAWN
from demo.zero_gpu import Borrowed

Mode = Literal["go", "pause", "step"]
ACTIONS = ("pause", "step", "go", "stop")


@dataclass(eq=False)
class Job:
    """Specs and logs of its lanes, the searcher's first.

    account: with whose searches it shares the thread, the hash of a visitor or of an address; seconds: of work, as
    predicted; used: of work so far.
    """

    specs: tuple[RunSpec, ...]
    writers: Sequence[RunWriter]
    account: str = ""
    seconds: float = 0.0
    used: float = 0.0
    mode: Mode = "go"
    touched: float = field(default_factory=monotonic)  # when a person or the runner last did something to it
    hands: Hands = field(default_factory=Hands)
    cancel: threading.Event = field(default_factory=threading.Event)
    lend: Callable[[threading.Event], Borrowed] | None = None  # what computes it elsewhere, if anything does
    _lanes: Iterator[tuple[int, Event]] | None = None
    _grown: bool = False  # whether there are new nodes in the first lane that no choice was made among

    @property
    def run(self) -> str:
        """The id of the first run."""
        return self.writers[0].run

    @property
    def runs(self) -> tuple[str, ...]:
        return tuple(writer.run for writer in self.writers)

    @property
    def count(self) -> int:
        """Events kept of all lanes."""
        return sum(writer.kept for writer in self.writers)

    @property
    def state(self) -> str:
        """running, stepping, paused, asking (a person is to choose) or stopping."""
        if self.cancel.is_set():
            return "stopping"
        if self.hands.waiting:
            return "asking"
        return {"go": "running", "step": "stepping", "pause": "paused"}[self.mode]

    @property
    def parked(self) -> bool:
        """Whether it waits for a person, or for a GPU that is lent."""
        return self.state in ("asking", "paused") or isinstance(self._lanes, Borrowed) and self._lanes.idle

    def control(self, action: Any) -> None:
        """Raises BadRequest for anything but an action."""
        if action not in ACTIONS:
            raise BadRequest(BAD_ACTION.format(action=repr(action)[:40], allowed=", ".join(ACTIONS)))
        if action == "stop":
            self.cancel.set()
        else:
            self.mode = action

    def advance(self, models: Models) -> bool:
        """Compute and keep one event; whether there was one. The first call loads what is needed."""
        if self._lanes is None and self.lend:
            self._lanes = self.lend(self.cancel)
            return True
        if self._lanes is None:
            self._lanes = lanes_of(models, self.specs, self.cancel, self.hands)
        lane, event = next(self._lanes, (None, None))
        if event is None:
            return False
        self.writers[lane].append(event)
        if lane == 0:
            self._heed(event)
        return True

    def _heed(self, event: Event) -> None:
        """A step is over when what grew was chosen from, or grows again without a choice."""
        grows = isinstance(event, Expanded) and event.nodes[0].parent is not None
        chosen = isinstance(event, Pruned)
        if self.mode == "step" and (chosen or grows and self._grown):
            self.mode = "pause"
        self._grown = not chosen and (self._grown or grows)

    def close(self) -> None:
        self._lanes = None
        for writer in self.writers:
            writer.close()


def lanes_of(
    models: Models, specs: Sequence[RunSpec], cancel: threading.Event, hands: Hands | None = None
) -> Iterator[tuple[int, Event]]:
    """(lane, event) of lanes side by side. Only the first heeds `hands`."""
    lanes = [
        Search(models.generator(spec.generator), models.verifiers_of(spec), spec, cancel.is_set,
               display=index == 0 or _is_drawn(spec, models), memory_limit=memory_limit(),
               hands=None if index else hands).run()
        for index, spec in enumerate(specs)
    ]  # fmt: skip
    return race(*lanes)


def _is_drawn(spec: RunSpec, models: Models) -> bool:
    """Whether the page draws all of a run of independent images: of more nobody would see what was decoded."""
    return spec.params.get("n", 1) * models.generator(spec.generator).num_steps <= MAX_DRAWN


def compute(models: Models, specs: Sequence[RunSpec], writers: Sequence[RunWriter]) -> None:
    """Run the lanes side by side into their logs, to their ends."""
    for lane, event in lanes_of(models, specs, threading.Event()):
        writers[lane].append(event)


def create(store: RunStore, specs: Sequence[RunSpec], marks: Mapping[str, Any] | None = None) -> list[RunWriter]:
    """Writers in the order of the specs; the first run's meta names the second. `marks`: more that the metas say."""
    others = [store.create(spec, marks=marks) for spec in specs[1:]]
    return [store.create(specs[0], beside=others[0].run if others else None, marks=marks), *others]
