"""What was seen in an image against the scene that was asked for: strict, lenient, and atom by atom.

Knows no pixels and no models. For reporting only: nothing that guides a search may come to know it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.world.scene import Group, Scene, Thing, groups_hold, middle

UNCLEAR = "unclear"  # an attribute that a reader would not commit itself to; equal to none that can be asked for
DIRECTIONS = ("left", "right", "above", "below")
ATTRIBUTES = (("colour", "colour"), ("pattern", "pattern"), ("size", "size_name"))  # of a group, of a thing


@dataclass(frozen=True)
class Reading:
    """What is seen in an image: things, the surest first, and whether what or how many they are is in doubt."""

    things: tuple[Thing, ...]
    background: str
    unclear: bool = False

    @classmethod
    def of(cls, scene: Scene) -> Reading:
        """A perfect reader's reading of a drawn scene."""
        return cls(scene.things, scene.background)


@dataclass(frozen=True)
class Verdict:
    """How an image fares; all that is reported about it."""

    strict: bool  # every atom is right, and nothing is in doubt
    lenient: bool  # GenEval's semantics: enough of everything, extras forgiven
    atoms: Mapping[str, int]  # 0 or 1 by name
    unclear: bool  # what or how many things there are is in doubt
    dead_zone: bool = False  # a direction was asked for, and none holds between the two

    @property
    def mean(self) -> float:
        """Arithmetic mean of the atoms."""
        return sum(self.atoms.values()) / len(self.atoms)

    @property
    def geometric(self) -> float:
        """Geometric mean of the atoms, as GenEval 2's per prompt: of 0/1 answers it is their product."""
        return float(all(self.atoms.values()))


FAILED = Verdict(False, False, {"image": 0}, False)  # no image came about


def check(reading: Reading, scene: Scene) -> Verdict:
    """Compare a reading with the scene asked for. What the scene leaves open (None, "") may be anything."""
    atoms = _atoms(reading, scene)
    owned = _owned(reading.things, scene.groups)
    return Verdict(
        strict=all(atoms.values()) and not reading.unclear,
        lenient=_lenient(owned, scene),
        atoms=atoms,
        unclear=reading.unclear,
        dead_zone=any(_undecided(owned[a], relation, owned[b]) for a, relation, b in scene.relations),
    )


def _owned(things: Sequence[Thing], groups: Sequence[Group]) -> list[list[Thing]]:
    """The things of every group, the surest first. Groups are of different kinds."""
    return [[thing for thing in things if thing.noun == group.noun] for group in groups]


def _said(group: Group) -> list[tuple[str, str, str]]:
    """The attributes that a group says: its name for each, a thing's name for it, the value."""
    named = [(name, seen, getattr(group, name)) for name, seen in ATTRIBUTES]
    return [said for said in named if said[2] is not None]


# Atoms


def atom_names(scene: Scene) -> list[str]:
    """The statements that an image of the scene is asked about."""
    return list(_atoms(Reading((), ""), scene))


def _atoms(reading: Reading, scene: Scene) -> dict[str, int]:
    """0 or 1 for every statement of the scene: "1 object", "1 count", "1 colour", "1 left 2", "nothing else", ...

    Groups count from 1. What is missing has no colour and no place either.
    """
    owned = _owned(reading.things, scene.groups)
    atoms: dict[str, bool] = {}
    for number, (group, things) in enumerate(zip(scene.groups, owned, strict=True), 1):
        atoms[f"{number} object"] = bool(things)
        atoms[f"{number} count"] = len(things) == group.count
        for name, seen, wanted in _said(group):
            atoms[f"{number} {name}"] = bool(things) and all(getattr(thing, seen) == wanted for thing in things)
    for a, relation, b in scene.relations:
        atoms[f"{a + 1} {relation} {b + 1}"] = _related(owned[a], relation, owned[b])
    atoms["nothing else"] = sum(map(len, owned)) == len(reading.things)
    if scene.background:
        atoms["background"] = reading.background == scene.background
    return {name: int(right) for name, right in atoms.items()}


def _related(first: Sequence[Thing], relation: str, second: Sequence[Thing]) -> bool:
    return bool(first) and bool(second) and groups_hold(relation, first, second)


def _undecided(first: Sequence[Thing], relation: str, second: Sequence[Thing]) -> bool:
    return (
        relation in DIRECTIONS and bool(first) and bool(second)
        and not any(groups_hold(other, first, second) for other in DIRECTIONS)
    )  # fmt: skip


# GenEval's semantics


def _lenient(owned: Sequence[Sequence[Thing]], scene: Scene) -> bool:
    """At least one of what stands alone, exactly n of n; attributes and places of the surest `count` of them."""
    taken = [things[: group.count] for group, things in zip(scene.groups, owned, strict=True)]
    for group, things, surest in zip(scene.groups, owned, taken, strict=True):
        counted = len(things) == group.count if group.count > 1 else bool(things)
        alike = all(getattr(thing, seen) == wanted for thing in surest for _, seen, wanted in _said(group))
        if not (counted and alike):
            return False
    return all(_loosely(taken[a], relation, taken[b]) for a, relation, b in scene.relations)


def _loosely(first: Sequence[Thing], relation: str, second: Sequence[Thing]) -> bool:
    """GenEval's relation of box centres, under which a diagonal is both "left" and "above"; ours of "next"."""
    if relation not in DIRECTIONS:
        return groups_hold(relation, first, second)
    a, b = middle(first), middle(second)
    away = math.hypot(b.x - a.x, b.y - a.y)
    x, y = (_beyond(offset, 0.1 * (a.size + b.size)) / max(away, 1e-9) for offset in (b.x - a.x, b.y - a.y))
    return {"left": x, "right": -x, "above": y, "below": -y}[relation] > 0.5


def _beyond(offset: float, slack: float) -> float:
    return math.copysign(max(abs(offset) - slack, 0.0), offset)
