"""Two readers' views of an image made into one reading: the mean of both, and nothing that either of them denies.

Each alone is right less often than their mean, and what one denies outright fails strictly. A reader joined with itself
reads as it reads alone. The bounds were set on scenes of their own, apart from those of accept.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from core.evaluation.oracle.check import UNCLEAR, Reading
from core.evaluation.oracle.reader import BACKDROPS, NOUNS, PRINTS, TINTS, Peak, Seen
from core.world.scene import MAX_THINGS, Thing, size_word
from core.world.vocabulary import KINDS

PEAK, DOUBT = 0.5, 0.4  # mean heat of a thing; of what may be one, and leaves the count in doubt
SURE = 0.4  # least mean probability of an answer
DENIED = 0.05  # a reader that gives an answer less than this denies it
NEAR = 6.0  # px: peaks of small things this near may be of one thing


@dataclass(frozen=True)
class Place:
    """One place in the image, as the one or two readers that saw something there see it."""

    views: tuple[Peak, ...]

    @property
    def heat(self) -> float:
        """Of two readers: who sees nothing here counts as none."""
        return sum(peak.heat for peak in self.views) / 2

    def mean(self, name: str) -> float:
        """Of "x", "y" or "side", px."""
        return sum(getattr(peak, name) for peak in self.views) / len(self.views)

    def answer(self, question: str, names: list[str]) -> str:
        """The likeliest by the mean; UNCLEAR where that is not sure, or a reader denies it."""
        return _agreed([peak.answers[question] for peak in self.views], names)


def read(one: Seen, other: Seen) -> Reading:
    """What both readers together say is in the image."""
    places = sorted(_places(one.peaks, other.peaks), key=lambda place: -place.heat)
    sure = [place for place in places if place.heat >= PEAK]
    things = tuple(_thing(place, len(sure)) for place in sure)
    unclear = any(DOUBT < place.heat < PEAK for place in places)
    unclear = unclear or any(place.answer("noun", NOUNS) == UNCLEAR for place in sure)
    return Reading(things, _agreed([one.background, other.background], BACKDROPS), unclear)


def _places(ones: tuple[Peak, ...], others: tuple[Peak, ...]) -> list[Place]:
    """Every peak, and with it the other reader's of the same thing."""
    left, found = list(others), []
    for one in ones:
        near = [other for other in left if _apart(one, other) < max(NEAR, min(one.side, other.side) / 3)]
        match = min(near, key=lambda other: _apart(one, other), default=None)
        if match is not None:
            left.remove(match)
        found.append(Place((one,) if match is None else (one, match)))
    return found + [Place((other,)) for other in left]


def _apart(one: Peak, other: Peak) -> float:
    return max(abs(one.x - other.x), abs(one.y - other.y))


def _thing(place: Place, things: int) -> Thing:
    """The likeliest kind, even where that is unclear; its looks as far as they are clear."""
    kind = KINDS[int(sum(peak.answers["noun"] for peak in place.views).argmax())]
    look = {"colour": None, "pattern": None}
    if kind.recolourable:
        look = {"colour": place.answer("colour", TINTS), "pattern": place.answer("pattern", PRINTS)}
    x, y, side = (place.mean(name) for name in ("x", "y", "side"))
    return Thing(kind.noun, **look, size_name=size_word(side, min(things, MAX_THINGS)), x=x, y=y, size=side)


def _agreed(views: list[Tensor], names: list[str]) -> str:
    mean = sum(views) / len(views)
    best = int(mean.argmax())
    denied = any(float(view[best]) < DENIED for view in views)
    return UNCLEAR if denied or float(mean[best]) < SURE else names[best]
