"""Searches side by side from their first event to their ends, into the store, with a bar on stderr."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from core.asking import answer
from core.compare import race
from core.request import Prepared
from core.search.budget import GIGA
from core.search.events import Finished, Shrunk
from core.search.search import Search
from core.search.steering import Hands
from core.search.tree import Tree
from core.store.runs import RunStore
from core.store.writer import RunWriter

BAR = 24   # characters


def perform(store: RunStore, lanes: Sequence[Prepared], memory_limit: int | None = None) -> list[tuple[str, Tree]]:
    """Run all lanes to their ends and into the store; (run id, tree) of each. Ctrl-C ends them early.

    Where a person chooses they are asked on the terminal.
    """
    progress = _Progress(sum(lane.cost.flops for lane in lanes))
    with ExitStack() as stack:
        stop = stack.enter_context(_interruptible())
        searches = [
            Search(lane.generator, lane.verifiers, lane.spec, stop.is_set, memory_limit=memory_limit,
                   hands=Hands(away=lane.spec.chooser != "person")) for lane in lanes
        ]
        writers = [stack.enter_context(writer) for writer in _writers(store, lanes)]
        for lane, event in race(*(search.run() for search in searches)):
            writers[lane].append(event)
            if isinstance(event, Shrunk):
                progress.say(event.message)
            progress.show([search.tree for search in searches])
            if searches[lane].hands.waiting and not stop.is_set():
                answer(searches[lane].hands, store.folder(writers[lane].run) / "previews")
    progress.close([search.tree for search in searches])
    return [(writer.run, search.tree) for writer, search in zip(writers, searches, strict=True)]


def _writers(store: RunStore, lanes: Sequence[Prepared]) -> list[RunWriter]:
    """In the order of the lanes; the first run names the second as the one beside it."""
    others = [store.create(lane.spec) for lane in lanes[1:]]
    return [store.create(lanes[0].spec, beside=others[0].run if others else None), *others]


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; a second one interrupts at once."""
    stop = threading.Event()

    def on_interrupt(*_: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


class _Progress:
    """A bar on stderr: redrawn on a terminal, a line for every tenth elsewhere."""

    def __init__(self, flops: float):
        self.flops, self.live, self.drawn = max(flops, 1.0), sys.stderr.isatty(), -1

    def show(self, trees: Sequence[Tree]) -> None:
        spent = sum(tree.spent.flops for tree in trees)
        self._draw(trees, min(1.0, spent / self.flops), f"{spent / GIGA:.1f} of {self.flops / GIGA:.1f} GFLOP")

    def say(self, message: str) -> None:
        """A line of its own."""
        print(f"{chr(10) * self.live}note: {message}", file=sys.stderr, flush=True)

    def close(self, trees: Sequence[Tree]) -> None:
        """All is done, also where equal candidates or an early end have made it cheaper than forecast."""
        if all(isinstance(tree.end, Finished) for tree in trees):
            self.drawn = -1
            self._draw(trees, 1.0, f"{sum(tree.spent.flops for tree in trees) / GIGA:.1f} GFLOP")
        if self.live:
            print(file=sys.stderr)

    def _draw(self, trees: Sequence[Tree], share: float, amount: str) -> None:
        if not self.live and int(share * 10) == self.drawn:
            return
        self.drawn = int(share * 10)
        bar = "#" * round(share * BAR)
        best = " | ".join(f"best {tree.best_score():.3f}" for tree in trees if tree.best())
        line = f"[{bar:<{BAR}}] {share:4.0%}  {amount}  {best}"
        print(f"\r{line}\033[K" if self.live else line, end="" if self.live else "\n", file=sys.stderr, flush=True)
