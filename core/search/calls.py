"""The one door to the models: every call is paid for, timed, may be refused, and is no larger than memory holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Any, TypeVar

from core.search.budget import Cost, Ledger
from core.search.errors import OutOfMemory, is_out_of_memory
from core.search.memory import let_go

T, R = TypeVar("T"), TypeVar("R")
MEBI = 2**20


class Stop(Exception):
    """The caller no longer wants the run."""


class Calls:
    """`live_bytes` is what the states of the run hold, `step` the one at work, as far as the search has told.

    `halved`: the step and size of every call that memory was too small for, until somebody takes them.
    """

    def __init__(self, ledger: Ledger, cancelled: Callable[[], bool], memory_limit: int | None, weights_bytes: int):
        self.ledger, self._cancelled, self._limit = ledger, cancelled, memory_limit
        self._weights, self.live_bytes, self.step = weights_bytes, 0, 0
        self.halved: list[tuple[int, int]] = []
        self._fit: dict[tuple[int, int], int] = {}   # the most items of a call, by step and bytes of each
        self._began = perf_counter()

    @property
    def seconds(self) -> float:
        """Since the run began, without the time between two events."""
        return perf_counter() - self._began

    def excuse(self, seconds: float) -> None:
        """Time that is not the run's: a person was thinking, or others had the models."""
        self._began += seconds

    def require_wanted(self) -> None:
        """Raises Stop if the caller no longer wants the run."""
        if self._cancelled():
            raise Stop

    def one(self, price: Cost, model: Callable[..., T], *args: Any) -> T:
        """One call. Raises Stop or BudgetExhausted before it."""
        self.require_wanted()
        self.ledger.charge(price, self.seconds)
        began = perf_counter()
        try:
            return model(*args)
        finally:
            self.ledger.clock(perf_counter() - began)

    def batched(self, price: Cost, model: Callable[..., Sequence], items: Sequence, most: int, bytes_each: int,
                *before: Any) -> list:
        """model(*before, items) at `price` an item, in as few calls as may be; the results in order."""
        return self.spread(items, most, bytes_each, lambda batch: price * len(batch),
                           lambda batch: model(*before, batch))

    def spread(self, items: Sequence[T], most: int, bytes_each: int, price: Callable[[Sequence[T]], Cost],
               model: Callable[[Sequence[T]], Sequence[R]]) -> list[R]:
        """model(items) in as few calls as may be and memory holds; the results in order.

        Raises OutOfMemory where it does not hold one.
        """
        results: list[R] = []
        for batch in self._split(items, most, bytes_each):
            results += self.one(price(batch), self._fitted, batch, bytes_each, model)
        return results

    def _split(self, items: Sequence[T], most: int, bytes_each: int) -> Iterator[Sequence[T]]:
        while items:
            size = min(most, self._room(bytes_each), self._fit.get((self.step, bytes_each), most), len(items))
            self.ledger.note_bytes(self._weights + self.live_bytes + size * bytes_each)
            yield items[:size]
            items = items[size:]

    def _fitted(self, batch: Sequence[T], bytes_each: int, model: Callable[[Sequence[T]], Sequence[R]]) -> list[R]:
        """model(batch), in halves where memory is too small, and from then on no more than fitted."""
        try:
            return list(model(batch))
        except Exception as error:   # an OutOfMemory is from a model that has tried less by itself
            if len(batch) == 1 or isinstance(error, OutOfMemory) or not is_out_of_memory(error):
                raise
        let_go()   # here, where the error no longer holds on to what filled the memory
        half = (len(batch) + 1) // 2
        self.halved.append((self.step, len(batch)))
        self._fit[self.step, bytes_each] = half
        return [result for part in (batch[:half], batch[half:]) for result in self._fitted(part, bytes_each, model)]

    def _room(self, bytes_each: int) -> int:
        """How many items of a call the limit allows beside weights and live states."""
        if self._limit is None or not bytes_each:
            return 2**31
        used = self._weights + self.live_bytes
        if used + bytes_each > self._limit:
            hopeless = self._weights + bytes_each > self._limit
            raise OutOfMemory(
                f"the memory limit of {self._limit / MEBI:.0f} MiB is reached: weights and live states hold "
                f"{used / MEBI:.0f} and the next call needs {bytes_each / MEBI:.0f}; raise it"
                + ("" if hopeless else " or search narrower"), hopeless,
            )
        return (self._limit - used) // bytes_each
