"""Which runs one view shows: a run, what it is compared with, and the branches that grow in the same tree.

A run that goes on from a node keeps its own log, node ids and costs, and is a run like any other in the store and to
every route. Only the view joins them: the frames of all come in one answer, each lane with its place in the family, and
the page draws a branch in the tree that it grew from, below all that stands there, so that no old node moves
(demo/static/family.js; node 7 of the first branch is R2:7 there).

In sight are the branches that this visitor started, and the one that the address names with those that it grew from:
a run that many went on from looks to everybody else as it did. Where the earlier run is gone, a branch is shown alone.
"""

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

from core.search.errors import BadRequest
from core.store.runs import RunStore
from demo.streaming import Library, Reader

MOST = 8        # branches in one view: of more the newest
LANES = MOST + 4
FRESH = 2.0     # seconds that what is known of all runs is good for


@dataclass(frozen=True)
class Lane:
    """One run of a view. of: the run of the view whose tree it grows in, else None; name: R2 for the first of these."""

    reader: Reader
    of: str | None = None
    name: str | None = None
    beside: bool = False   # it was started beside another one

    @property
    def run(self) -> str:
        return self.reader.run

    @property
    def node(self) -> int | None:
        """The node that it grows from; None before its log says so."""
        spec = self.reader.tree.spec
        return spec.origin.node if self.of and spec else None


class Kin:
    """Which runs go on from which, and which were started beside which, as their metas say."""

    def __init__(self, stores: Sequence[RunStore]):
        self._stores, self._known, self._looked = stores, set(), -FRESH
        self._children: dict[str, list[str]] = {}
        self._firsts: dict[str, str] = {}
        self._lock = threading.Lock()

    def below(self, run: str) -> Iterator[str]:
        """All that grew from a run, and from what grew from it."""
        self._look()
        waiting, seen = deque(self._children.get(run, ())), {run}
        while waiting:
            if (one := waiting.popleft()) not in seen:
                seen.add(one)
                waiting += self._children.get(one, ())
                yield one

    def first(self, run: str) -> str | None:
        """The run that a run was started beside."""
        self._look()
        return self._firsts.get(run)

    def _look(self) -> None:
        with self._lock:
            if monotonic() - self._looked < FRESH:
                return
            self._looked = monotonic()
            for store in self._stores:
                for run in store.ids():
                    if run not in self._known:
                        with suppress(BadRequest, FileNotFoundError):
                            self._note(run, store.meta(run))

    def _note(self, run: str, meta: dict[str, Any]) -> None:
        self._known.add(run)
        if isinstance(meta["parent"], str):
            self._children.setdefault(meta["parent"], []).append(run)
        if isinstance(meta["beside"], str):
            self._firsts[meta["beside"]] = run


def family(library: Library, kin: Kin, run: Any, visitor: str = "") -> list[Lane]:
    """The lanes of a view: the run, what it is compared with, if anything, then all others.

    Raises NoSuchRun as `Library.find` does.
    """
    pair, _ = library.shown(run, visitor)
    line = _line(library, pair[0], visitor)
    roots = _roots(library, kin, line[-1], visitor)
    grown = [*line[:-1], *_own(library, kin, roots, visitor)]
    readers = {reader.run: reader for reader in [*pair, *roots, *grown]}
    above = {one.run: parent.run for one, parent in zip(line, line[1:], strict=False)}
    above |= {one.run: parent for one in grown if (parent := _parent(one)) in readers and _fits(readers[parent], one)}
    order = sorted((_began(readers[one]), one) for one in above)
    names = {one: f"R{place}" for place, (_, one) in enumerate(order, start=2)}
    return [
        Lane(reader, above.get(one), names.get(one), kin.first(one) in readers)
        for one, reader in readers.items() if one in above or reader in pair or reader in roots
    ]  # fmt: skip


def _line(library: Library, reader: Reader, visitor: str) -> list[Reader]:
    """The run, the one it goes on from, the one before that, as far as they are here."""
    line = [reader]
    while len(line) <= MOST and (parent := _parent(line[-1])):
        try:
            before = library.reader(parent, visitor)
        except BadRequest:
            break
        before.update()
        if before in line or not _fits(before, line[-1]):
            break
        line.append(before)
    return line


def before(library: Library, reader: Reader, visitor: str = "") -> list[tuple[Reader, int]]:
    """The runs that led to a branch, the first of all first, and the node that each was left at."""
    line = _line(library, reader, visitor)
    return [(earlier, one.tree_now().spec.origin.node) for one, earlier in zip(line, line[1:], strict=False)][::-1]


def _began(reader: Reader) -> str:
    return reader.store.meta(reader.run)["created"]


def _parent(reader: Reader) -> str | None:
    return reader.store.meta(reader.run)["parent"]


def _fits(before: Reader, reader: Reader) -> bool:
    """Whether the node that a run says it goes on from is that node; yes while it has not said so yet."""
    spec = reader.tree_now().spec
    if spec is None:
        return True
    node = spec.origin and before.tree_now().nodes.get(spec.origin.node)
    return bool(node) and node.state == spec.origin.state


def _roots(library: Library, kin: Kin, root: Reader, visitor: str) -> list[Reader]:
    """The run where a line begins, and the one that it was started with, in the order in which they stand."""
    with suppress(BadRequest):
        if first := kin.first(root.run):
            pair = library.lanes(first, visitor)
            return pair if root in pair else [root]
    return library.lanes(root.run, visitor)


def _own(library: Library, kin: Kin, roots: Sequence[Reader], visitor: str) -> list[Reader]:
    """The branches that a visitor started, the newest if there are many."""
    found = []
    for run in {run for root in roots for run in kin.below(root.run)}:
        with suppress(BadRequest):
            if library.owns(run, visitor):
                found.append(library.reader(run, visitor))
    return sorted(found, key=lambda reader: (_began(reader), reader.run))[-MOST:]
