"""Runs in threads of the server, and readers that turn their logs into frames.

A run belongs to the store, not to the page that asked for it: it goes on when the tab closes, and every page, the one
that started it too, follows the log on disk. Searches run one at a time, in the order in which they were asked for.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from core.compare import race
from core.runs import RunStore, RunWriter
from core.search.errors import BadRequest
from core.search.events import RunSpec, Scored
from core.search.search import Search
from core.search.tree import Tree
from demo import view
from demo.models import Models
from demo.refusals import NoSuchRun, NotYours
from demo.strings import BUSY, NOT_YOURS, UNKNOWN_RUN
from demo.visitors import hashed

MAX_WAITING = 8
MAX_READERS = 96
MAX_OWNERS = 20_000  # runs whose owners are remembered

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One comparison to compute: specs and ids of its lanes, the searcher's first."""

    specs: tuple[RunSpec, ...]
    runs: tuple[str, ...]
    stop: threading.Event = field(default_factory=threading.Event)


class Runner:
    """Computes comparisons, one after the other, in a thread of its own."""

    def __init__(self, store: RunStore, models: Models):
        self.store, self.models = store, models
        self._jobs: OrderedDict[str, Job] = OrderedDict()  # waiting and running, in order, by first run id
        self._lock = threading.Lock()
        self._queue: SimpleQueue[tuple[Job, list[RunWriter]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="searches", daemon=True)
        self._thread.start()

    def start(self, specs: Sequence[RunSpec], visitor: str = "", private: bool = False) -> str:
        """Put a visitor's comparison in line; the id of its first run. Raises BadRequest when the line is full."""
        with self._lock:
            if len(self._jobs) > MAX_WAITING:
                raise BadRequest(BUSY.format(count=len(self._jobs) - 1))
            writers = create(self.store, specs, {"owner": hashed(visitor), "private": private})
            job = Job(tuple(specs), tuple(writer.run for writer in writers))
            self._jobs[job.runs[0]] = job
        self._queue.put((job, writers))
        return job.runs[0]

    def stop(self, run: str) -> bool:
        """Ask a run to end before its next model call; whether there was one to stop."""
        job = self._jobs.get(run)
        if job:
            job.stop.set()
        return job is not None

    def ahead(self, run: str) -> int:
        """How many searches of this server come before this one."""
        with self._lock:
            return list(self._jobs).index(run) if run in self._jobs else 0

    def close(self) -> None:
        """Stop everything and wait a moment for the logs to be complete."""
        for job in list(self._jobs.values()):
            job.stop.set()
        self._queue.put(None)
        self._thread.join(timeout=3)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            job, writers = item
            try:
                compute(self.models, job.specs, writers, job.stop.is_set)
            except Exception:
                log.exception("comparison %s could not be computed", job.runs[0])
            finally:
                for writer in writers:
                    writer.close()
                with self._lock:
                    del self._jobs[job.runs[0]]


def compute(
    models: Models, specs: Sequence[RunSpec], writers: Sequence[RunWriter], cancelled: Callable[[], bool] = bool
) -> None:
    """Run the lanes side by side into their logs. All decode what is there to be looked at."""
    lanes = [
        Search(models.generator(spec.generator), models.verifiers_of(spec), spec, cancelled).run() for spec in specs
    ]
    for lane, event in race(*lanes) if len(lanes) == 2 else ((0, event) for event in lanes[0]):
        writers[lane].append(event)


def create(store: RunStore, specs: Sequence[RunSpec], marks: Mapping[str, Any] | None = None) -> list[RunWriter]:
    """Writers in the order of the specs; the first run's meta names the second. `marks`: more that the metas say."""
    others = [store.create(spec, marks=marks) for spec in specs[1:]]
    return [store.create(specs[0], beside=others[0].run if others else None, marks=marks), *others]


class Reader:
    """One run as frames, made as its log grows."""

    def __init__(self, store: RunStore, run: str):
        self.store, self.run = store, run
        self.tree, self.frames = Tree(), []
        self.scores: tuple[float, ...] = ()  # lowest and highest that the guide gave
        self.finishes = 0  # times that finished images were scored
        self._rows: dict[int, view.Row] = {}
        self._offset = 0
        self._lock = threading.Lock()

    def update(self) -> list[dict[str, Any]]:
        """All frames, after reading what was written since the last call."""
        with self._lock:
            events, self._offset = self.store.read(self.run, self._offset)
            for event in events:
                self._apply(event)
            return self.frames

    def _apply(self, event: Any) -> None:
        self.tree = self.tree.apply(event)
        if isinstance(event, Scored):
            guide = self.tree.spec.verifier
            seen = [*self.scores, *(scores[guide] for scores in event.scores.values())]
            self.scores = (min(seen), max(seen))
            self.finishes += event.finished
        after = view.rows(self.tree)
        self.frames.append(view.frame(self.tree, event.seq, self._rows, after))
        self._rows = after


class Library:
    """Every run that can be shown: those of the writable store and the recorded ones."""

    def __init__(self, stores: Sequence[RunStore]):
        self.stores = tuple(stores)
        self._readers: OrderedDict[str, Reader] = OrderedDict()
        self._owners: dict[str, tuple[str, bool]] = {}
        self._lock = threading.Lock()

    def stored(self, run: Any) -> RunStore:
        """The store that holds a run. Raises NoSuchRun for any id, of whatever type, that is none."""
        for store in self.stores:
            if store.has(run):
                return store
        raise NoSuchRun(UNKNOWN_RUN)

    def find(self, run: Any, visitor: str = "") -> RunStore:
        """The store that holds a run this visitor may see. To all others a private run does not exist.

        Raises as `stored` does.
        """
        store = self.stored(run)
        if self._marks(store, run)[1] and not self.owns(run, visitor):
            raise NoSuchRun(UNKNOWN_RUN)
        return store

    def owns(self, run: Any, visitor: str) -> bool:
        """Whether a visitor started a run. Raises as `stored` does."""
        return bool(visitor) and self._marks(self.stored(run), run)[0] == hashed(visitor)

    def require_owner(self, run: Any, visitor: str) -> RunStore:
        """The store of a visitor's own run. Raises NotYours for a run of others, and as `find` does."""
        store = self.find(run, visitor)
        if not self.owns(run, visitor):
            raise NotYours(NOT_YOURS)
        return store

    def audience(self, run: Any) -> str:
        """Who may be shown what is cached of a run: "public" or "private"."""
        return "private" if self._marks(self.stored(run), run)[1] else "public"

    def _marks(self, store: RunStore, run: str) -> tuple[str, bool]:
        """(hash of the owner, whether it is private); read once, since a run never changes hands."""
        if run not in self._owners:
            if len(self._owners) > MAX_OWNERS:
                self._owners.clear()
            meta = store.meta(run)
            self._owners[run] = (str(meta.get("owner") or ""), bool(meta.get("private")))
        return self._owners[run]

    def reader(self, run: Any, visitor: str = "") -> Reader:
        """Raises as `find` does."""
        store = self.find(run, visitor)
        with self._lock:
            if run not in self._readers:
                self._readers[run] = Reader(store, run)
            self._readers.move_to_end(run)
            while len(self._readers) > MAX_READERS:
                self._readers.popitem(last=False)
            return self._readers[run]

    def lanes(self, run: Any, visitor: str = "") -> list[Reader]:
        """The run and, where its meta names one that is here, the run beside it. Raises as `find` does."""
        first = self.reader(run, visitor)
        beside = first.store.meta(run).get("beside")
        try:
            return [first, self.reader(beside, visitor)] if beside else [first]
        except BadRequest:
            return [first]

    def recorded(self) -> str | None:
        """The comparison that a first visit opens: by id the first of the first folder that has any."""
        folders = ([info.run for info in store.list() if info.beside] for store in self.stores[1:])
        return next((min(runs) for runs in folders if runs), None)
