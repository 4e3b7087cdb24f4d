"""Who guides a search: one verifier, or several as an ensemble.

An ensemble is written "rank:a+b" or "zscore:a+b". Verifiers speak on different scales, so each is set against the
first batch that this run scored at the same step: by the mean share of that batch that an image beats (rank
aggregation, as in Ma et al. 2025), or by the mean of its standard scores. That batch stays the measure to the end, so
the scores of one step compare over the whole run, whatever is scored later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from core.search.errors import BadRequest

RULES = ("rank", "zscore")
TIE = 1e-3   # weight of the standard score in a rank: it decides between images that beat the same number

Row = Mapping[str, float]   # one image's scores by verifier


@dataclass(frozen=True)
class Guide:
    name: str
    rule: str                  # "single", "rank" or "zscore"
    members: tuple[str, ...]

    @classmethod
    def parse(cls, name: str) -> Guide:
        """Raises BadRequest for an ensemble that is none; whether its verifiers exist is not asked."""
        rule, colon, members = name.partition(":")
        if not colon:
            return cls(name, "single", (name,))
        names = tuple(members.split("+"))
        if rule not in RULES or len(names) < 2 or len(set(names)) < len(names) or not all(names):
            raise BadRequest(
                f"ensemble {name!r} is impossible: write rank: or zscore: and two or more different verifiers "
                "with + between them, such as rank:image_reward+clip_score"
            )
        return cls(name, rule, names)


class Marks:
    """The guide's scores within one run. Remembers, step by step, the first batch it was shown."""

    def __init__(self, guide: Guide):
        self.guide = guide
        self._first: dict[int, dict[str, list[float]]] = {}   # by step, by verifier

    def of(self, step: int, rows: Sequence[Row]) -> list[float]:
        """The guide's score of every image, from its members' scores of the finished or previewed `step`."""
        if self.guide.rule == "single":
            return [row[self.guide.name] for row in rows]
        first = self._first.setdefault(step, {name: [row[name] for row in rows] for name in self.guide.members})
        one = _rank if self.guide.rule == "rank" else _zscore
        return [fmean(one(row[name], first[name]) for name in self.guide.members) for row in rows]


def _zscore(score: float, batch: Sequence[float]) -> float:
    """Standard score; of a batch without spread the bare difference."""
    return (score - fmean(batch)) / (pstdev(batch) or 1.0)


def _rank(score: float, batch: Sequence[float]) -> float:
    """The share of the batch that it beats, a tie counting half; the standard score decides between equal shares."""
    beaten = sum((other < score) + 0.5 * (other == score) for other in batch)
    return beaten / len(batch) + TIE * _zscore(score, batch)
