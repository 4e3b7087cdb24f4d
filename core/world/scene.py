"""A scene of the emoji world: which objects, how many, what colour, where. No pixels, no words here."""

import random
from dataclasses import dataclass, replace

from core.world.vocabulary import BACKGROUNDS, COLOURS, KIND_BY_NOUN, KINDS, RELATIONS

CANVAS = 128
MAX_THINGS = 4
SIZES = {1: (58, 82), 2: (48, 58), 3: (42, 50), 4: (40, 46)}  # side of a sprite in px by number of things
GAP = 2  # px between bounding boxes
RELATION_MARGIN = 1.2  # training scenes keep this factor away from the dead zone of a relation


@dataclass(frozen=True)
class Group:
    """`count` objects of one kind and, where the kind can be recoloured, one colour."""

    noun: str
    count: int = 1
    colour: str | None = None


@dataclass(frozen=True)
class Thing:
    """One placed object; x, y is its centre and `size` the side of its square sprite, in px."""

    noun: str
    colour: str | None
    x: int
    y: int
    size: int


@dataclass(frozen=True)
class Scene:
    """Groups, an optional relation that holds from the first group to the second, a background, placed things."""

    groups: tuple[Group, ...]
    relation: str | None
    background: str
    things: tuple[Thing, ...] = ()


def sample_scene(rng: random.Random) -> Scene:
    """Draw a scene: one object, several of a kind, two groups, two groups in relation, or three objects."""
    form = rng.choices(("one", "many", "two", "relation", "three"), (20, 20, 17, 35, 8))[0]
    if form == "one":
        counts = (1,)
    elif form == "many":
        counts = (rng.choice((2, 3, 4)),)
    elif form == "three":
        counts = (1, 1, 1)
    else:
        counts = rng.choices(((1, 1), (1, 2), (2, 1)), (70, 15, 15))[0]
    nouns = rng.sample([kind.noun for kind in KINDS], len(counts))
    groups = tuple(Group(noun, count, _sample_colour(rng, noun)) for noun, count in zip(nouns, counts, strict=True))
    relation = rng.choice(RELATIONS) if form == "relation" else None
    return place(rng, Scene(groups, relation, rng.choice(tuple(BACKGROUNDS))))


def _sample_colour(rng: random.Random, noun: str) -> str | None:
    return rng.choice(tuple(COLOURS)) if KIND_BY_NOUN[noun].recolourable else None


def place(rng: random.Random, scene: Scene) -> Scene:
    """Give every object of `scene` a place and a size, without overlap and with the relation clearly true."""
    total = sum(group.count for group in scene.groups)
    if not 1 <= total <= MAX_THINGS:
        raise ValueError(f"a scene of {total} objects was asked for; 1 to {MAX_THINGS} fit the canvas")
    for attempt in range(2000):
        low, high = SIZES[total]
        size = rng.randint(low, max(low, high - attempt // 100))
        things = [_somewhere(rng, scene, index, size) for index in _group_indices(scene)]
        if _apart(things) and (scene.relation is None or _related(scene, things)):
            return replace(scene, things=tuple(things))
    raise ValueError(f"no placement found for {scene}")


def _group_indices(scene: Scene) -> list[int]:
    return [index for index, group in enumerate(scene.groups) for _ in range(group.count)]


def _somewhere(rng: random.Random, scene: Scene, index: int, size: int) -> Thing:
    size = max(SIZES[MAX_THINGS][0], size + rng.randint(-3, 3))
    low, high = size // 2 + 2, CANVAS - size // 2 - 2
    x, y = rng.randint(low, high), rng.randint(low, high)
    if scene.relation and index < 2:  # draw in the right half to begin with: rejection alone is slow
        first = (index == 0) == (scene.relation in ("left", "above"))
        near = rng.randint(low, max(low, CANVAS // 2 - 8)) if first else rng.randint(min(high, CANVAS // 2 + 8), high)
        x, y = (near, y) if scene.relation in ("left", "right") else (x, near)
    group = scene.groups[index]
    return Thing(group.noun, group.colour, x, y, size)


def _apart(things: list[Thing]) -> bool:
    pairs = ((a, b) for i, a in enumerate(things) for b in things[:i])
    return all(max(abs(a.x - b.x), abs(a.y - b.y)) >= (a.size + b.size) / 2 + GAP for a, b in pairs)


def _related(scene: Scene, things: list[Thing]) -> bool:
    owners = _group_indices(scene)
    firsts = [thing for thing, owner in zip(things, owners, strict=True) if owner == 0]
    seconds = [thing for thing, owner in zip(things, owners, strict=True) if owner == 1]
    centres = holds(scene.relation, _centre(firsts), _centre(seconds), RELATION_MARGIN)
    return centres and all(_offset(scene.relation, a, b)[0] > (a.size + b.size) / 2 for a in firsts for b in seconds)


def _centre(things: list[Thing]) -> Thing:
    mean = [sum(getattr(thing, name) for thing in things) / len(things) for name in ("x", "y", "size")]
    return Thing(things[0].noun, things[0].colour, *mean)


def _offset(relation: str, a: Thing, b: Thing) -> tuple[float, float]:
    """How far `b` lies from `a` along the relation's axis (positive where it holds), and across it."""
    dx, dy = b.x - a.x, b.y - a.y
    return {"left": (dx, dy), "right": (-dx, dy), "above": (dy, dx), "below": (-dy, dx)}[relation]


def holds(relation: str, a: Thing, b: Thing, margin: float = 1.0) -> bool:
    """Whether `a` is left/right/above/below of `b`: box centres, with a dead zone of half the half-sum of sizes."""
    along, across = _offset(relation, a, b)
    return along > margin * 0.5 * (a.size + b.size) / 2 and along >= margin * abs(across)
