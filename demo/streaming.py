"""Readers that turn the logs of runs into frames, and the library of all runs that a visitor may be shown.

A run belongs to the store, not to the page that asked for it: every page, the one that started it too, follows the log
on disk.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from core.search.errors import BadRequest
from core.search.events import Previewed, Scored
from core.search.tree import Tree
from core.store.runs import RunStore
from demo import view
from demo.refusals import NoSuchRun, NotYours
from demo.strings import NOT_YOURS, UNKNOWN_RUN
from demo.visitors import hashed

MAX_READERS = 96
MAX_OWNERS = 20_000  # runs whose owners are remembered


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

    def tree_now(self) -> Tree:
        """The tree, after reading what was written since the last call."""
        self.update()
        return self.tree

    def _apply(self, event: Any) -> None:
        before, self.tree = self.tree, self.tree.apply(event)
        if isinstance(event, Scored):
            guide = self.tree.spec.verifier
            seen = [*self.scores, *(scores[guide] for scores in event.scores.values())]
            self.scores = (min(seen), max(seen))
            self.finishes += event.finished
        if isinstance(event, Previewed):
            after = view.pictured(self.tree, event.images, self._rows)
        else:
            after = view.rows(self.tree, before, self._rows)
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

    def tree(self, run: Any, visitor: str = "") -> Tree:
        """A run as far as its log says by now. Raises as `find` does."""
        reader = self.reader(run, visitor)
        reader.update()
        return reader.tree

    def lanes(self, run: Any, visitor: str = "") -> list[Reader]:
        """The run and, where its meta names one that is here, the run beside it. Raises as `find` does."""
        first = self.reader(run, visitor)
        beside = first.store.meta(run).get("beside")
        try:
            return [first, self.reader(beside, visitor)] if beside else [first]
        except BadRequest:
            return [first]

    def shown(self, run: Any, visitor: str = "") -> tuple[list[Reader], bool]:
        """The lanes of a run; where nothing runs beside it, the run that it goes on from. And whether that is so.

        Raises as `find` does.
        """
        lanes = self.lanes(run, visitor)
        parent = lanes[0].store.meta(run).get("parent") if len(lanes) == 1 else None
        try:
            return ([*lanes, self.reader(parent, visitor)], True) if parent else (lanes, False)
        except BadRequest:
            return lanes, False

    def recorded(self) -> str | None:
        """The comparison that a first visit opens: by id the first of the first folder that has any."""
        folders = ([info.run for info in store.list() if info.beside] for store in self.stores[1:])
        return next((min(runs) for runs in folders if runs), None)
