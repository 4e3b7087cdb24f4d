"""What the verifiers of one run say of its images: the guide, the observers, the judge.

Knows no tree. Scores are remembered by the image's hash, so the same picture is never scored twice; what was scored
only to be looked at does not save a guide its price, so a run costs the same whether anybody looks on or not.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from core.search.budget import Cost
from core.search.calls import Calls, Stop
from core.search.errors import BadRequest, BeamscopeError, VerifierFailed, is_out_of_memory
from core.search.events import Image, RunSpec
from core.search.guide import Guide, Marks

log = logging.getLogger(__name__)
FAILED = ("verifier {name} failed ({error}); what it had not scored stays unscored, and the tree so far is kept: "
          "search again, or with another verifier")


@dataclass(frozen=True)
class Sight:
    """A picture, and what was made of it: the guide's score first."""

    image: Image
    digest: Hashable
    scores: dict[str, float]


class Scoring:
    """The verifiers of one run. Raises BadRequest if one that the spec names is not among `verifiers`."""

    def __init__(self, calls: Calls, spec: RunSpec, verifiers: Mapping[str, Any], display: bool):
        self.guide = Guide.parse(spec.verifier)
        self._calls, self._spec, self._verifiers = calls, spec, verifiers
        self._shown = tuple(spec.observers) if display else ()
        self._marks, self._failed = Marks(self.guide), set()
        self._known: dict[bool, dict[tuple[str, Hashable], float]] = {True: {}, False: {}}   # paid for or not

    def see(self, images: Sequence[Image], step: int) -> list[Sight]:
        """What guide and observers say of the pictures of candidates as they are at `step`."""
        digests = [digest(image) for image in images]
        rows = self._rows(self.guide.members, images, digests)
        marks = [{self.guide.name: mark} for mark in self._marks.of(step, rows)]
        seen = self._observations(self._shown, images, digests)
        parts = zip(images, digests, marks, rows, seen, strict=True)
        return [Sight(image, digest, mark | row | others) for image, digest, mark, row, others in parts]

    def observed(self, sight: Sight) -> dict[str, float]:
        """All scores of a picture, those of observers included that have not looked at it yet."""
        missing = [name for name in self._spec.observers if name not in sight.scores]
        return sight.scores | self._observations(missing, [sight.image], [sight.digest])[0]

    def judged(self, sights: Sequence[Sight]) -> list[float]:
        """The judge's scores. Raises VerifierFailed."""
        return self._decisive(self._spec.judge, [s.image for s in sights], [s.digest for s in sights])

    def _rows(self, names: Sequence[str], images: Sequence[Image], digests: Sequence[Hashable]) -> list[dict]:
        return _turned({name: self._decisive(name, images, digests) for name in names}, len(images))

    def _decisive(self, name: str, images: Sequence[Image], digests: Sequence[Hashable]) -> list[float]:
        """Scores without which the run cannot go on. Raises VerifierFailed where there are none."""
        try:
            return self._column(name, images, digests, paid=True)
        except Exception as error:
            if isinstance(error, BeamscopeError | Stop) or is_out_of_memory(error):
                raise
            log.exception("%s failed", name)
            raise VerifierFailed(FAILED.format(name=name, error=f"{type(error).__name__}: {error}")) from error

    def _observations(self, names: Sequence[str], images: Sequence[Image], digests: Sequence[Hashable]) -> list[dict]:
        """Who only looks on cannot end a run: one that fails is left out from then on."""
        columns = {}
        for name in names:
            if name in self._failed:
                continue
            try:
                columns[name] = self._column(name, images, digests, paid=False)
            except Stop:
                raise
            except Exception as error:
                self._failed.add(name)
                log.warning("%s does not look on any more: %s", name, error)
        return _turned(columns, len(images))

    def _column(self, name: str, images: Sequence[Image], digests: Sequence[Hashable], paid: bool) -> list[float]:
        """One verifier's scores, from memory where it has seen the picture."""
        known, verifier = self._known[paid], self._verifiers[name]
        new = {one: image for one, image in zip(digests, images, strict=True) if (name, one) not in known}
        price = verifier.cost if paid else verifier.cost.for_display()
        pictures = list(new.values())
        scores = self._calls.batched(
            price, verifier.score, pictures, verifier.max_batch, verifier.image_bytes, self._spec.prompt
        )
        known |= {(name, one): score for one, score in zip(new, _checked(name, scores, len(pictures)), strict=True)}
        if paid and len(new) < len(digests):
            self._calls.ledger.charge(Cost(cache_hits=len(digests) - len(new)))
        return [known[name, one] for one in digests]


def _turned(columns: Mapping[str, Sequence[float]], count: int) -> list[dict[str, float]]:
    """Columns by name -> one row for each of `count` images."""
    return [{name: column[i] for name, column in columns.items()} for i in range(count)]


def digest(image: Image) -> Hashable:
    """Equal for equal pictures; of what has no bytes (a dry run's None) equal to nothing."""
    return blake2b(image.tobytes(), digest_size=16).digest() if hasattr(image, "tobytes") else object()


def _checked(name: str, scores: Sequence[Any], count: int) -> list[float]:
    scores = [float(score) for score in scores]
    if len(scores) != count or not all(map(math.isfinite, scores)):
        raise BeamscopeError(f"verifier {name} gave {scores} for {count} images: one finite number each")
    return scores


def named(spec: RunSpec) -> list[str]:
    """Every verifier that the spec needs, those that guide first."""
    judge = [spec.judge] if spec.judge else []
    return list(dict.fromkeys([*Guide.parse(spec.verifier).members, *judge, *spec.observers]))


def check_loaded(spec: RunSpec, verifiers: Mapping[str, Any]) -> None:
    missing = [name for name in named(spec) if name not in verifiers]
    if missing:
        raise BadRequest(f"verifier {', '.join(missing)} is not loaded: loaded are {', '.join(verifiers)}")
