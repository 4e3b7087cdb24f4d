"""Elitism: the result of a run is the best finished image so far, wherever it was seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core.search.scoring import Sight


@dataclass(frozen=True)
class Finalist:
    score: float    # by the guide
    node: int
    sight: Sight    # the finished image


class Finalists:
    """The `most` best finished images, the best first; `picked` is what a person took instead of the first of them."""

    def __init__(self, most: int):
        self._most, self.ranked, self.picked = most, [], None

    def add(self, found: Iterable[Finalist]) -> None:
        """Pictures that were not seen before: the same one may be found again, by the node that inherits it."""
        known = {finalist.sight.digest for finalist in self.ranked}
        for finalist in found:
            if finalist.sight.digest not in known:
                self.ranked.append(finalist)
                known.add(finalist.sight.digest)
        self.ranked.sort(key=lambda finalist: (-finalist.score, finalist.node))
        del self.ranked[self._most:]

    @property
    def result(self) -> Finalist:
        return self.picked or self.ranked[0]
