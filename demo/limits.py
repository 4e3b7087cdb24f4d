"""Token buckets: so many at once, then one every so many seconds. Pure but for the clock that it is given."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

MOST_KEYS = 10_000   # that are remembered; the one longest unused is forgotten, and has a full bucket again


@dataclass(frozen=True)
class Rate:
    burst: int       # starts at once
    seconds: float   # until there is one more


class Buckets:
    """One bucket a key."""

    def __init__(self, rate: Rate, clock: Callable[[], float] = monotonic):
        self.rate, self._clock = rate, clock
        self._full: OrderedDict[str, float] = OrderedDict()   # when each bucket will be full
        self._lock = threading.Lock()

    def wait(self, key: str, cost: int = 1) -> float:
        """Seconds until `cost` can be taken; 0 if now. A cost above the burst counts as the burst."""
        return max(0.0, self._after(key, cost) - self._room())

    def take(self, key: str, cost: int = 1) -> None:
        with self._lock:
            self._full[key] = self._clock() + self._after(key, cost)
            self._full.move_to_end(key)
            while len(self._full) > MOST_KEYS:
                self._full.popitem(last=False)

    def _after(self, key: str, cost: int) -> float:
        """Seconds until the bucket is full again if `cost` is taken now."""
        missing = max(0.0, self._full.get(key, 0.0) - self._clock())
        return missing + min(cost, self.rate.burst) * self.rate.seconds

    def _room(self) -> float:
        return self.rate.burst * self.rate.seconds
