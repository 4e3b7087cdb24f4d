"""The one door to the models: every call is paid for, timed, may be refused, and is no larger than memory holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Any, TypeVar

from core.search.budget import Cost, Ledger
from core.search.errors import BudgetExhausted

T = TypeVar("T")
MEBI = 2**20


class Stop(Exception):
    """The caller no longer wants the run."""


class Calls:
    """`live_bytes` is what the states of the run hold, `step` the one at work, as far as the search has told."""

    def __init__(self, ledger: Ledger, cancelled: Callable[[], bool], memory_limit: int | None, weights_bytes: int):
        self.ledger, self._cancelled, self._limit = ledger, cancelled, memory_limit
        self._weights, self.live_bytes, self.step = weights_bytes, 0, 0
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
        return [
            result for batch in self.split(items, most, bytes_each)
            for result in self.one(price * len(batch), model, *before, batch)
        ]

    def split(self, items: Sequence[T], most: int, bytes_each: int) -> Iterator[Sequence[T]]:
        """The items in batches of at most `most`, and no more than memory holds. Raises BudgetExhausted for none."""
        while items:
            size = min(most, self._room(bytes_each), len(items))
            self.ledger.note_bytes(self._weights + self.live_bytes + size * bytes_each)
            yield items[:size]
            items = items[size:]

    def _room(self, bytes_each: int) -> int:
        """How many items of a call memory holds beside weights and live states."""
        if self._limit is None or not bytes_each:
            return 2**31
        used = self._weights + self.live_bytes
        if used + bytes_each > self._limit:
            raise BudgetExhausted(
                f"the memory limit of {self._limit / MEBI:.0f} MiB is reached: weights and live states hold "
                f"{used / MEBI:.0f} and the next call needs {bytes_each / MEBI:.0f}; raise it or search narrower"
            )
        return (self._limit - used) // bytes_each
