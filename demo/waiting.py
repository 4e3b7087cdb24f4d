"""How long a search waits in line. Pure."""

from bisect import insort
from collections.abc import Sequence


def waits(active: Sequence[float], line: Sequence[float], slots: int) -> list[float]:
    """Seconds until each job in line begins, if `slots` jobs at a time share one worker evenly.

    active, line: seconds of work left of each job; those in line begin in their order.
    """
    clock, left, begins = 0.0, sorted(active), []
    for work in line:
        while len(left) >= slots:
            first = left.pop(0)
            clock += first * (len(left) + 1)
            left = [rest - first for rest in left]
        begins.append(clock)
        insort(left, work)
    return begins
