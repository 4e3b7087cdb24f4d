"""A scene of the emoji world: which objects, how many, how they look, where. No pixels, no words here."""

import math
import random
from dataclasses import dataclass, replace

from core.world import holdouts
from core.world.vocabulary import BACKGROUNDS, COLOURS, KIND_BY_NOUN, KINDS, PATTERNS, RELATIONS

CANVAS = 128
MAX_THINGS = 6
MAX_GROUPS = 4
EDGE = 2  # px between a bounding box and the edge
GAP = 2  # px between bounding boxes
RELATION_MARGIN = 1.2  # training scenes keep this factor away from the dead zone of a relation
# Side of a sprite in px by number of things, always even. Small is at most 0.75 and big at least 1.3 of the usual,
# so that no side is two of them; with more than three things there is no room for sizes.
SIZES = {
    1: {"small": (34, 40), None: (54, 68), "big": (90, 108)},
    2: {"small": (30, 32), None: (44, 54), "big": (72, 78)},
    3: {"small": (28, 30), None: (42, 50), "big": (66, 70)},
    4: {None: (40, 46)},
    5: {None: (36, 40)},
    6: {None: (34, 38)},
}


@dataclass(frozen=True)
class Group:
    """`count` objects of one kind that look alike. None: not said, or what the kind does not vary in.

    In a sampled scene a recolourable group has a colour and a pattern ("plain" is one); size None is the usual size.
    """

    noun: str
    count: int = 1
    colour: str | None = None
    pattern: str | None = None
    size: str | None = None


@dataclass(frozen=True)
class Thing:
    """One placed object; x, y is its centre and `size` the side of its square sprite, in px."""

    noun: str
    colour: str | None
    pattern: str | None
    size_name: str | None
    x: int
    y: int
    size: int


Relation = tuple[int, str, int]  # group a is left/right/above/below/next of group b, by their indices


@dataclass(frozen=True)
class Scene:
    """Groups of different kinds, relations between them, a background, placed things (in the order of the groups)."""

    groups: tuple[Group, ...]
    relations: tuple[Relation, ...] = ()
    background: str = ""
    things: tuple[Thing, ...] = ()


def total(scene: Scene) -> int:
    """How many objects the groups ask for."""
    return sum(group.count for group in scene.groups)


def big(scene: Scene) -> int:
    """How many big objects the groups ask for."""
    return sum(group.count for group in scene.groups if group.size == "big")


# --- relations ---------------------------------------------------------------------------------------------------


def offset(relation: str, a, b) -> tuple[float, float]:
    """How far `b` lies from `a` along the relation's axis (positive where it holds), and across it."""
    dx, dy = b.x - a.x, b.y - a.y
    return {"left": (dx, dy), "right": (-dx, dy), "above": (dy, dx), "below": (-dy, dx)}[relation]


def gap(a, b) -> float:
    """Distance of two square boxes in px; 0 where they touch or overlap."""
    half = (a.size + b.size) / 2
    return math.hypot(max(abs(a.x - b.x) - half, 0), max(abs(a.y - b.y) - half, 0))


def holds(relation: str, a, b, margin: float = 1.0) -> bool:
    """Whether `a` is left/right/above/below of `b`: box centres, with a dead zone of half the half-sum of sizes.

    next: the gap between the boxes is less than half their mean size. A `margin` above 1 asks for more.
    """
    mean = (a.size + b.size) / 2
    if relation == "next":
        return margin * gap(a, b) < 0.5 * mean
    along, across = offset(relation, a, b)
    return along > margin * 0.5 * mean and along >= margin * abs(across)


@dataclass(frozen=True)
class Box:
    """What `holds` needs to know of a thing or of several."""

    x: float
    y: float
    size: float


def middle(things) -> Box:
    """The mean place and size of several things."""
    return Box(*(sum(getattr(thing, key) for thing in things) / len(things) for key in ("x", "y", "size")))


def groups_hold(relation: str, first, second, margin: float = 1.0) -> bool:
    """`holds` for the things of two groups: their middles; for next, their nearest pair."""
    if relation == "next":
        return any(holds("next", a, b, margin) for a in first for b in second)
    return holds(relation, middle(first), middle(second), margin)


def of_group(scene: Scene, index: int) -> list[Thing]:
    """The things of group `index`, known by their noun."""
    return [thing for thing in scene.things if thing.noun == scene.groups[index].noun]


# --- sizes -------------------------------------------------------------------------------------------------------


def size_word(side: float, things: int) -> str | None:
    """Which size a thing of `side` px has among `things`; "unclear" between two bands or outside all of them."""
    for name, (low, high) in SIZES[things].items():
        if low * 0.92 <= side <= high * 1.08:
            return name
    return "unclear"


# --- sampling ----------------------------------------------------------------------------------------------------

FORMS = {"one": 17, "many": 21, "two": 14, "relation": 30, "three": 10, "more": 8}
PATTERNED = 0.35  # share of recolourable groups with a pattern other than plain
SIZED = 0.35  # share of scenes of up to three things with a size word


def sample_scene(rng: random.Random, allow_held_out: bool = False) -> Scene:
    """Draw a scene: one object, several of a kind, two to four groups, with and without relations.

    Nothing that holdouts.py keeps for testing is drawn unless `allow_held_out`.
    """
    while True:
        scene = _sample_groups(rng)
        if (allow_held_out or holdouts.held_out(scene) is None) and (placed := try_place(rng, scene)):
            return placed


def _sample_groups(rng: random.Random) -> Scene:
    form = rng.choices(tuple(FORMS), tuple(FORMS.values()))[0]
    counts = _sample_counts(rng, form)
    background = rng.choice(tuple(BACKGROUNDS))
    nouns = [kind.noun for kind in rng.sample(KINDS, len(counts))]
    groups = [Group(noun, n, *sample_look(rng, noun, background)) for noun, n in zip(nouns, counts, strict=True)]
    if sum(counts) <= 3 and rng.random() < SIZED:
        groups = _sample_sizes(rng, groups)
    return Scene(tuple(groups), _sample_relations(rng, form, counts), background)


def _sample_counts(rng: random.Random, form: str) -> tuple[int, ...]:
    if form == "one":
        return (1,)
    if form == "many":
        return (rng.randint(2, MAX_THINGS),)
    if form == "relation":
        return rng.choices(((1, 1), (1, 2), (2, 1)), (76, 12, 12))[0]
    groups = {"two": 2, "three": 3, "more": rng.choice((3, 4))}[form]
    counts = [1] * groups
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3, 4)) if form != "three" else 0):
        counts[rng.randrange(groups)] += sum(counts) < MAX_THINGS
    return tuple(counts)


def _sample_relations(rng: random.Random, form: str, counts: tuple[int, ...]) -> tuple[Relation, ...]:
    if form == "relation":
        return ((0, rng.choice(RELATIONS), 1),)
    if form == "three" and rng.random() < 0.6:  # one pair, or a chain of two
        pairs = ((0, 1), (1, 2)) if rng.random() < 0.4 else ((0, 1),)
    elif form == "more" and counts == (1, 1, 1, 1):
        pairs = ((0, 1), (2, 3))
    else:
        return ()
    return tuple((a, rng.choice(RELATIONS), b) for a, b in pairs)


def sample_look(rng: random.Random, noun: str, background: str) -> tuple[str | None, str | None]:
    """A colour and a pattern for `noun`, None for both where it has but one look."""
    if not KIND_BY_NOUN[noun].recolourable:
        return None, None
    return rng.choice(colours_on(background)), rng.choice(PATTERNS[1:]) if rng.random() < PATTERNED else PATTERNS[0]


def colours_on(background: str) -> list[str]:
    """The colours that can be seen on a background: no white things on white."""
    return [colour for colour in COLOURS if (colour, background) != ("white", "white")]


def _sample_sizes(rng: random.Random, groups: list[Group]) -> list[Group]:
    """One or two groups become small or big: one big thing at most, and small things are plain."""
    chosen = rng.sample(range(len(groups)), rng.choice((1, min(2, len(groups)))))
    names = ["small" if groups[index].count > 1 else rng.choice(("small", "big")) for index in chosen]
    if names.count("big") > 1:
        names[1] = "small"
    for index, name in zip(chosen, names, strict=True):
        plain = "plain" if name == "small" and groups[index].pattern else groups[index].pattern
        groups[index] = replace(groups[index], size=name, pattern=plain)
    return groups


# --- placing -----------------------------------------------------------------------------------------------------


def place(rng: random.Random, scene: Scene) -> Scene:
    """Give every object of `scene` a place and a size, without overlap and with every relation clearly true.

    Raises ValueError for what does not fit the canvas.
    """
    if not 1 <= total(scene) <= MAX_THINGS:
        raise ValueError(f"a scene of {total(scene)} objects was asked for; 1 to {MAX_THINGS} fit the canvas")
    if missing := {group.size for group in scene.groups} - SIZES[total(scene)].keys():
        raise ValueError(f"{total(scene)} objects leave no room for the size {missing.pop()}; up to 3 objects do")
    if (many := big(scene)) > 1:
        raise ValueError(f"{many} big objects were asked for; one fits the canvas")
    for _ in range(20):
        if (placed := try_place(rng, scene)) is not None:
            return placed
    raise ValueError(f"no placement found for {scene}")


def try_place(rng: random.Random, scene: Scene, attempts: int = 150) -> Scene | None:
    """`place`, or None if `attempts` layouts do not do."""
    owners = [index for index, group in enumerate(scene.groups) for _ in range(group.count)]
    bands = SIZES[len(owners)]
    if any(group.size not in bands for group in scene.groups):
        return None
    spans, wishes = [bands[scene.groups[owner].size] for owner in owners], _wishes(scene)
    for _ in range(attempts):
        sides = _sample_sides(rng, spans)
        loose = len(sides) < 4 or (len(sides) == 4 and rng.random() < 0.5)
        spots = _scattered(rng, sides, wishes) if loose else _shelved(rng, sides)
        if spots is None:
            continue
        boxes = [Box(*spot) for spot in spots]
        if all(_clear(relation, owners, boxes) for relation in scene.relations):
            looks = [scene.groups[owner] for owner in owners]
            return replace(scene, things=tuple(as_thing(look, *spot) for look, spot in zip(looks, spots, strict=True)))
    return None


def as_thing(group: Group, x: int, y: int, size: int) -> Thing:
    return Thing(group.noun, group.colour, group.pattern, group.size, x, y, size)


def _sample_sides(rng: random.Random, bands: list[tuple[int, int]]) -> list[int]:
    """One share of the band for all, and a little difference, so that things of a scene look related."""
    share = rng.random()
    wanted = ((low, high, low + share * (high - low) + 5 * rng.random() - 2) for low, high in bands)
    return [min(high, max(low, int(side))) // 2 * 2 for low, high, side in wanted]


Wishes = dict[int, tuple[str, bool]]  # thing number -> the axis on which it should be first (left, top) or not


def _scattered(rng: random.Random, sides: list[int], wishes: Wishes) -> list[tuple[int, int, int]] | None:
    """A few things anywhere; a relation's things are drawn towards their sides of the canvas."""
    spots: list[tuple[int, int, int]] = []
    share = rng.random  # randint takes several times as long
    for number, side in enumerate(sides):
        low = side // 2 + EDGE
        room = CANVAS - 2 * low + 1
        for _ in range(4):
            x, y = low + int(room * share()), low + int(room * share())
            if number in wishes:
                axis, first = wishes[number]
                near = low + int(0.5 * room * (share() + (not first)))
                x, y = (near, y) if axis == "x" else (x, near)
            if all(2 * abs(x - a) >= side + s + 2 * GAP or 2 * abs(y - b) >= side + s + 2 * GAP for a, b, s in spots):
                spots.append((x, y, side))
                break
        else:
            return None
    return spots


def _wishes(scene: Scene) -> Wishes:
    """Where a single relation wants its things."""
    if len(scene.relations) != 1 or scene.relations[0][1] == "next":
        return {}
    a, relation, b = scene.relations[0]
    owners = [index for index, group in enumerate(scene.groups) for _ in range(group.count)]
    axis, forward = "x" if relation in ("left", "right") else "y", relation in ("left", "above")
    return {n: (axis, forward == (owner == a)) for n, owner in enumerate(owners) if owner in (a, b)}


ROWS = {  # how many things stand in each row, by number of things: three in a row need small ones
    4: ((2, 2),),
    5: ((2, 3), (3, 2), (2, 1, 2), (1, 2, 2), (2, 2, 1), (1, 3, 1)),
    6: ((3, 3), (2, 2, 2), (3, 1, 2), (2, 1, 3), (1, 2, 3), (3, 2, 1)),
}


def _shelved(rng: random.Random, sides: list[int]) -> list[tuple[int, int, int]]:
    """Four things and more in loose rows or columns, the room that is left over spread at random."""
    order = rng.sample(range(len(sides)), len(sides))
    rows, start = [], 0
    for count in rng.choice(ROWS[len(sides)]):
        rows.append(order[start : start + count])
        start += count
    heights = [max(sides[index] for index in row) for row in rows]
    spots: list[tuple[int, int, int]] = [(0, 0, 0)] * len(sides)
    for row, height, top in zip(rows, heights, _spread(rng, heights), strict=True):
        lefts = _spread(rng, [sides[index] for index in row])
        for index, left in zip(row, lefts, strict=True):
            side = sides[index]
            down = top + rng.randint(0, height - side)
            spots[index] = (left + side // 2, down + side // 2, side)
    return [(y, x, side) for x, y, side in spots] if rng.random() < 0.5 else spots


def _spread(rng: random.Random, lengths: list[int]) -> list[int]:
    """Starts of intervals of these lengths along the canvas, apart, the free px shared out at random."""
    free = CANVAS - 2 * EDGE - GAP * (len(lengths) - 1) - sum(lengths)
    cuts = sorted(int((free + 1) * rng.random()) for _ in lengths)
    starts, used = [], EDGE
    for cut, length in zip(cuts, lengths, strict=True):
        starts.append(used + cut)
        used += length + GAP
    return starts


def _clear(relation: Relation, owners: list[int], boxes: list[Box]) -> bool:
    """Whether a relation holds with a margin, and on its axis for every pair."""
    a, name, b = relation
    first = [box for box, owner in zip(boxes, owners, strict=True) if owner == a]
    second = [box for box, owner in zip(boxes, owners, strict=True) if owner == b]
    if not groups_hold(name, first, second, RELATION_MARGIN):
        return False
    return name == "next" or all(offset(name, p, q)[0] > (p.size + q.size) / 2 for p in first for q in second)


def apart(things) -> bool:
    """No two boxes nearer than GAP."""
    pairs = ((a, b) for i, a in enumerate(things) for b in things[:i])
    return all(max(abs(a.x - b.x), abs(a.y - b.y)) >= (a.size + b.size) / 2 + GAP for a, b in pairs)
