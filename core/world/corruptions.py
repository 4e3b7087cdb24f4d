"""Scenes that are almost another scene, and the count of what a prompt says that a scene does not show.

Verifiers learn and are tested on these. Labels come from construction alone: nothing here looks at pixels.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from core.world.captions import parse, words
from core.world.holdouts import held_out
from core.world.scene import (
    CANVAS,
    EDGE,
    MAX_GROUPS,
    MAX_THINGS,
    RELATION_MARGIN,
    SIZES,
    Group,
    Relation,
    Scene,
    Thing,
    apart,
    as_thing,
    colours_on,
    groups_hold,
    of_group,
    sample_look,
    size_word,
    total,
    try_place,
)
from core.world.vocabulary import BACKGROUNDS, KIND_BY_NOUN, KINDS, OPPOSITE, PATTERNS, RELATIONS, SIZE_NAMES

Corruption = Callable[[random.Random, Scene], Scene | None]  # None: does not apply to this scene


@dataclass(frozen=True)
class Wish:
    """What a prompt asks for; with `vague` a count of two means two or more ("some cats")."""

    scene: Scene
    vague: bool


def read(prompt: str) -> Wish:
    return Wish(parse(prompt), "some" in words(prompt))


def wrong_atoms(wish: Wish, scene: Scene) -> int:
    """How many of the wish's atoms a placed scene fails.

    Atoms are objects, counts, colours, patterns, sizes, relations, the background, and that nothing else is there.
    An object that is missing fails its count, its looks and its relations too; what is not said cannot be wrong.
    """
    shown = {group.noun: group for group in scene.groups}
    wanted = wish.scene
    failed = sum(_wrong_group(wish, group, shown.get(group.noun)) for group in wanted.groups)
    failed += len(shown.keys() - {group.noun for group in wanted.groups})
    failed += wanted.background not in ("", scene.background)
    return failed + sum(not _relation_holds(wanted, relation, scene) for relation in wanted.relations)


def _wrong_group(wish: Wish, group: Group, found: Group | None) -> int:
    looks = [key for key in ("colour", "pattern", "size") if getattr(group, key) is not None]
    if found is None:
        return 2 + len(looks)
    enough = found.count >= 2 if wish.vague and group.count == 2 else found.count == group.count
    return (not enough) + sum(getattr(group, key) != getattr(found, key) for key in looks)


def _relation_holds(wanted: Scene, relation: Relation, scene: Scene, margin: float = 1.0) -> bool:
    a, name, b = relation
    first, second = ([thing for thing in scene.things if thing.noun == wanted.groups[index].noun] for index in (a, b))
    return bool(first and second) and groups_hold(name, first, second, margin)


# --- looks -------------------------------------------------------------------------------------------------------


def _regroup(scene: Scene, groups: tuple[Group, ...]) -> Scene:
    """Other groups with the same counts in the same places."""
    owners = [group for group in groups for _ in range(group.count)]
    pairs = zip(scene.things, owners, strict=True)
    return replace(scene, groups=groups, things=tuple(as_thing(group, t.x, t.y, t.size) for t, group in pairs))


def _with(groups: tuple[Group, ...], index: int, group: Group) -> tuple[Group, ...]:
    return (*groups[:index], group, *groups[index + 1 :])


def swap_attributes(rng: random.Random, scene: Scene) -> Scene | None:
    """Two groups trade colours, patterns or sizes."""
    pairs = [
        (key, a, b) for key in ("colour", "pattern", "size") for b in range(len(scene.groups)) for a in range(b)
        if _can_trade(key, scene.groups[a], scene.groups[b])
    ]  # fmt: skip
    if not pairs:
        return None
    key, a, b = rng.choice(pairs)
    first, second = scene.groups[a], scene.groups[b]
    groups = _with(scene.groups, a, replace(first, **{key: getattr(second, key)}))
    groups = _with(groups, b, replace(second, **{key: getattr(first, key)}))
    if key == "size":
        return try_place(rng, replace(scene, groups=groups, things=()))
    return _regroup(scene, groups)


def _can_trade(key: str, a: Group, b: Group) -> bool:
    one, other = getattr(a, key), getattr(b, key)
    if one == other or (key == "size" and a.count != b.count):
        return False
    return key == "size" or (one is not None and other is not None)


def wrong_colour(rng: random.Random, scene: Scene) -> Scene | None:
    """One group takes another colour."""
    return _other_look(rng, scene, "colour", colours_on(scene.background))


def wrong_pattern(rng: random.Random, scene: Scene) -> Scene | None:
    """One group that has a pattern takes another one or none."""
    return _other_look(rng, scene, "pattern", list(PATTERNS))


def _other_look(rng: random.Random, scene: Scene, key: str, choice: list[str]) -> Scene | None:
    able = [i for i, group in enumerate(scene.groups) if getattr(group, key) not in (None, "plain")]
    if not able:
        return None
    index = rng.choice(able)
    group = scene.groups[index]
    other = rng.choice([look for look in choice if look != getattr(group, key)])
    return _regroup(scene, _with(scene.groups, index, replace(group, **{key: other})))


def wrong_size(rng: random.Random, scene: Scene) -> Scene | None:
    """One small or big group takes another size, in place half of the time if there is room."""
    able = [index for index, group in enumerate(scene.groups) if group.size]
    if not able:
        return None
    index = rng.choice(able)
    group = scene.groups[index]
    names = [name for name in (*SIZE_NAMES, None) if name != group.size and (name != "big" or group.count == 1)]
    changed = replace(group, size=rng.choice(names))
    groups = _with(scene.groups, index, changed)
    grown = _resized(rng, scene, changed) if rng.random() < 0.5 else None
    if grown and all(_relation_holds(scene, relation, grown, RELATION_MARGIN) for relation in scene.relations):
        return replace(grown, groups=groups)
    return try_place(rng, replace(scene, groups=groups, things=()))


def _resized(rng: random.Random, scene: Scene, group: Group) -> Scene | None:
    """The things of a group at the sizes they now have a word for, where they are."""
    low, high = SIZES[len(scene.things)][group.size]
    side = rng.randint(low // 2, high // 2) * 2
    near, far = side // 2 + EDGE, CANVAS - side // 2 - EDGE
    things = [
        as_thing(group, min(far, max(near, t.x)), min(far, max(near, t.y)), side) if t.noun == group.noun else t
        for t in scene.things
    ]
    return replace(scene, things=tuple(things)) if apart(things) else None


def _other_kind(rng: random.Random, scene: Scene, like: Group | None) -> Group:
    """One thing of a noun that the scene lacks, looking `like` another where that is possible."""
    taken = {group.noun for group in scene.groups}
    noun = rng.choice([kind.noun for kind in KINDS if kind.noun not in taken])
    colour, pattern = sample_look(rng, noun, scene.background)
    if like and like.colour and KIND_BY_NOUN[noun].recolourable:
        colour, pattern = like.colour, like.pattern
    return Group(noun, 1, colour, pattern)


def wrong_object(rng: random.Random, scene: Scene) -> Scene:
    """One group becomes another kind of object."""
    index = rng.randrange(len(scene.groups))
    group = scene.groups[index]
    other = replace(_other_kind(rng, scene, group), count=group.count, size=group.size)
    return _regroup(scene, _with(scene.groups, index, other))


def wrong_background(rng: random.Random, scene: Scene) -> Scene:
    """Another background, which only a prompt that names it minds."""
    white = any(group.colour == "white" for group in scene.groups)
    names = [name for name in BACKGROUNDS if not white or "white" in colours_on(name)]
    return replace(scene, background=rng.choice([name for name in names if name != scene.background]))


# --- places ------------------------------------------------------------------------------------------------------


def wrong_relation(rng: random.Random, scene: Scene) -> Scene | None:
    """One relation is turned round: by mirroring, by two objects changing places, or drawn anew another way."""
    if not scene.relations:
        return None
    number = rng.randrange(len(scene.relations))
    for _ in range(4):
        other = _turned(rng, scene, number)
        if other and not _relation_holds(scene, scene.relations[number], other, 1 / RELATION_MARGIN):
            return other
    return None


def _turned(rng: random.Random, scene: Scene, number: int) -> Scene | None:
    a, name, b = scene.relations[number]
    way = rng.random()
    alike = len({thing.size_name for thing in scene.things}) == 1
    if name != "next" and way < 0.35 and len(scene.things) == 2 and alike:
        first, second = scene.things
        things = (_moved(first, second), _moved(second, first))
        return replace(scene, relations=((a, OPPOSITE[name], b),), things=things)
    if name != "next" and way < 0.7:
        return _mirrored(scene, "x" if name in ("left", "right") else "y")
    other = rng.choice([relation for relation in RELATIONS if relation != name])
    relations = (*scene.relations[:number], (a, other, b), *scene.relations[number + 1 :])
    return try_place(rng, replace(scene, relations=relations, things=()))


def _moved(thing: Thing, to: Thing) -> Thing:
    return replace(thing, x=to.x, y=to.y, size=to.size)


def _mirrored(scene: Scene, axis: str) -> Scene:
    turned = ("left", "right") if axis == "x" else ("above", "below")
    relations = tuple((a, OPPOSITE[name] if name in turned else name, b) for a, name, b in scene.relations)
    things = (replace(thing, **{axis: CANVAS - getattr(thing, axis)}) for thing in scene.things)
    return replace(scene, relations=relations, things=tuple(things))


# --- numbers -----------------------------------------------------------------------------------------------------


def _room(scene: Scene) -> int:
    """How many objects more can be placed; relations and sizes need room."""
    most = 3 if any(group.size for group in scene.groups) else 4 if scene.relations else MAX_THINGS
    return most - total(scene)


def wrong_count(rng: random.Random, scene: Scene) -> Scene | None:
    """One group has one object more or less."""
    changes = [
        (index, step) for index, group in enumerate(scene.groups) for step in (-1, 1)
        if (group.count > 1 if step < 0 else _room(scene) > 0 and group.size != "big")
    ]  # fmt: skip
    if not changes:
        return None
    index, step = rng.choice(changes)
    group = scene.groups[index]
    groups = _with(scene.groups, index, replace(group, count=group.count + step))
    return _add(rng, scene, groups, index) if step > 0 else _drop(rng, scene, groups, index)


def missing_object(rng: random.Random, scene: Scene) -> Scene | None:
    """One group is not there."""
    if len(scene.groups) < 2:
        return None
    index = rng.randrange(len(scene.groups))
    kept = tuple(group for number, group in enumerate(scene.groups) if number != index)
    relations = tuple((a - (a > index), name, b - (b > index)) for a, name, b in scene.relations if index not in (a, b))
    things = tuple(thing for thing in scene.things if thing.noun != scene.groups[index].noun)
    return _in_place(rng, replace(scene, groups=kept, relations=relations, things=things))


def extra_object(rng: random.Random, scene: Scene) -> Scene | None:
    """Something is there that nobody named."""
    if _room(scene) <= 0 or len(scene.groups) >= MAX_GROUPS:
        return None
    return _add(rng, scene, (*scene.groups, _other_kind(rng, scene, None)), len(scene.groups))


def _in_place(rng: random.Random, scene: Scene) -> Scene | None:
    """The scene as it is half of the time, so that size does not give counts away; else placed anew.

    Anew, too, where its sizes would mean something else among so many things, or its relations suffer.
    """
    sizes = all(size_word(thing.size, len(scene.things)) == thing.size_name for thing in scene.things)
    holds = all(
        groups_hold(name, of_group(scene, a), of_group(scene, b), RELATION_MARGIN) for a, name, b in scene.relations
    )
    return scene if sizes and holds and rng.random() < 0.5 else try_place(rng, replace(scene, things=()))


def _drop(rng: random.Random, scene: Scene, groups: tuple[Group, ...], index: int) -> Scene | None:
    """Take one thing of group `index` away."""
    gone = rng.choice([number for number, thing in enumerate(scene.things) if thing.noun == groups[index].noun])
    return _in_place(rng, replace(scene, groups=groups, things=scene.things[:gone] + scene.things[gone + 1 :]))


def _add(rng: random.Random, scene: Scene, groups: tuple[Group, ...], index: int) -> Scene | None:
    """Add one thing to group `index`."""
    group = groups[index]
    low, high = SIZES[len(scene.things) + 1][group.size]
    for _ in range(30):
        size = rng.randint(low // 2, high // 2) * 2
        near, far = size // 2 + EDGE, CANVAS - size // 2 - EDGE
        thing = as_thing(group, rng.randint(near, far), rng.randint(near, far), size)
        if apart((*scene.things, thing)):
            order = [g.noun for g in groups]
            things = sorted((*scene.things, thing), key=lambda item: order.index(item.noun))
            return _in_place(rng, replace(scene, groups=groups, things=tuple(things)))
    return try_place(rng, replace(scene, groups=groups, things=()))


CORRUPTIONS: dict[str, Corruption] = {
    "replace object": wrong_object,
    "replace colour": wrong_colour,
    "replace pattern": wrong_pattern,
    "replace size": wrong_size,
    "swap attribute": swap_attributes,
    "swap relation": wrong_relation,
    "count +-1": wrong_count,
    "missing object": missing_object,
    "extra object": extra_object,
    "background": wrong_background,
}
WEIGHTS = (13, 12, 10, 10, 20, 24, 24, 8, 8, 3)  # how often each is drawn for training: the hard ones more
LEFT_OUT = "missing object"  # no verifier is trained on it, so that it tells whether they learn more than their lessons


def change(name: str, rng: random.Random, scene: Scene, allow_held_out: bool = False) -> Scene | None:
    """Apply the corruption `name`; None if it does not apply or, unless allowed, ends in what is held out."""
    changed = CORRUPTIONS[name](rng, scene)
    return None if changed is None or not (allow_held_out or held_out(changed) is None) else changed


def left_out(wish: Wish, scene: Scene) -> bool:
    """Whether an image of `scene` misses one of the wish's objects and has none in its place: what LEFT_OUT makes.

    Training compares no such image with the wish. Drawing no LEFT_OUT is not enough: a prompt of "extra object" asks
    for what the scene that it was made from misses.
    """
    shown, wanted = ({group.noun for group in one.groups} for one in (scene, wish.scene))
    return bool(shown) and shown < wanted


def corrupt(rng: random.Random, scene: Scene, times: int = 1, allow_held_out: bool = False) -> Scene:
    """Apply `times` corruptions that fit, one after another, as training does: never LEFT_OUT."""
    weights = {name: weight for name, weight in zip(CORRUPTIONS, WEIGHTS, strict=True) if name != LEFT_OUT}
    done = 0
    while done < times:
        changed = change(rng.choices(tuple(weights), tuple(weights.values()))[0], rng, scene, allow_held_out)
        if changed is not None:
            scene, done = changed, done + 1
    return scene
