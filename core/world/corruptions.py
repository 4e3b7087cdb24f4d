"""Scenes that are almost another scene, and the count of what a prompt says that a scene does not show.

Verifiers learn and are tested on these. Labels come from construction alone: nothing here looks at pixels.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from core.world.captions import parse, words
from core.world.scene import CANVAS, GAP, MAX_THINGS, Group, Scene, Thing, holds, place
from core.world.vocabulary import BACKGROUNDS, COLOURS, KINDS, OPPOSITE, RELATIONS

Corruption = Callable[[random.Random, Scene], Scene | None]  # None: does not apply to this scene


@dataclass(frozen=True)
class Wish:
    """What a prompt asks for; with `vague` a count of two means two or more ("some cats")."""

    scene: Scene
    vague: bool


def read(prompt: str) -> Wish:
    return Wish(parse(prompt), "some" in words(prompt))


def wrong_atoms(wish: Wish, scene: Scene) -> int:
    """How many of the wish's atoms (object, count, colour, relation, background, nothing else) a placed scene fails.

    An object that is missing fails its count, its colour and its relation too.
    """
    shown = {group.noun: group for group in scene.groups}
    wanted = wish.scene
    failed = sum(_wrong_group(wish, group, shown.get(group.noun)) for group in wanted.groups)
    failed += len(shown.keys() - {group.noun for group in wanted.groups})
    failed += wanted.background not in ("", scene.background)
    return failed + (wanted.relation is not None and not _relation_holds(wanted, scene))


def _wrong_group(wish: Wish, group: Group, found: Group | None) -> int:
    if found is None:
        return 2 + (group.colour is not None)
    enough = found.count >= 2 if wish.vague and group.count == 2 else found.count == group.count
    return (not enough) + (group.colour not in (None, found.colour))


def _relation_holds(wanted: Scene, scene: Scene) -> bool:
    first, second = (_centre(scene, group.noun) for group in wanted.groups[:2])
    return first is not None and second is not None and holds(wanted.relation, first, second)


def _centre(scene: Scene, noun: str) -> Thing | None:
    things = [thing for thing in scene.things if thing.noun == noun]
    if not things:
        return None
    x, y, size = (sum(getattr(thing, key) for thing in things) / len(things) for key in ("x", "y", "size"))
    return Thing(noun, None, x, y, size)


def _regroup(scene: Scene, groups: tuple[Group, ...]) -> Scene:
    """Other groups with the same counts in the same places."""
    owners = [group for group in groups for _ in range(group.count)]
    pairs = zip(scene.things, owners, strict=True)
    return replace(
        scene, groups=groups, things=tuple(replace(thing, noun=g.noun, colour=g.colour) for thing, g in pairs)
    )


def _with(groups: tuple[Group, ...], index: int, group: Group) -> tuple[Group, ...]:
    return (*groups[:index], group, *groups[index + 1 :])


def swap_colours(rng: random.Random, scene: Scene) -> Scene | None:
    """Two objects trade colours."""
    coloured = [index for index, group in enumerate(scene.groups) if group.colour]
    if len({scene.groups[index].colour for index in coloured}) < 2:
        return None
    while True:
        a, b = rng.sample(coloured, 2)
        if scene.groups[a].colour != scene.groups[b].colour:
            break
    groups = _with(scene.groups, a, replace(scene.groups[a], colour=scene.groups[b].colour))
    return _regroup(scene, _with(groups, b, replace(scene.groups[b], colour=scene.groups[a].colour)))


def wrong_colour(rng: random.Random, scene: Scene) -> Scene | None:
    """One group takes another colour."""
    coloured = [index for index, group in enumerate(scene.groups) if group.colour]
    if not coloured:
        return None
    index = rng.choice(coloured)
    group = scene.groups[index]
    colour = rng.choice([colour for colour in COLOURS if colour != group.colour])
    return _regroup(scene, _with(scene.groups, index, replace(group, colour=colour)))


def _other_kind(rng: random.Random, scene: Scene, colour: str | None) -> tuple[str, str | None]:
    """A noun that the scene lacks, in `colour` where that is possible."""
    taken = {group.noun for group in scene.groups}
    kind = rng.choice([kind for kind in KINDS if kind.noun not in taken])
    return kind.noun, (colour or rng.choice(tuple(COLOURS))) if kind.recolourable else None


def wrong_object(rng: random.Random, scene: Scene) -> Scene:
    """One group becomes another kind of object."""
    index = rng.randrange(len(scene.groups))
    group = scene.groups[index]
    noun, colour = _other_kind(rng, scene, group.colour)
    return _regroup(scene, _with(scene.groups, index, Group(noun, group.count, colour)))


def wrong_relation(rng: random.Random, scene: Scene) -> Scene | None:
    """The relation is turned round: mirrored, by the two objects changing places, or drawn anew another way."""
    if scene.relation is None:
        return None
    turned = replace(scene, relation=OPPOSITE[scene.relation])
    way = rng.random()
    if way < 0.35 and len(scene.things) == 2:
        first, second = scene.things
        return replace(turned, things=(_moved(first, second), _moved(second, first)))
    if way < 0.7:
        axis = "x" if scene.relation in ("left", "right") else "y"
        mirrored = (replace(thing, **{axis: CANVAS - getattr(thing, axis)}) for thing in scene.things)
        return replace(turned, things=tuple(mirrored))
    other = rng.choice([relation for relation in RELATIONS if relation != scene.relation])
    return place(rng, replace(scene, relation=other, things=()))


def _moved(thing: Thing, to: Thing) -> Thing:
    return replace(to, noun=thing.noun, colour=thing.colour)


def _room(scene: Scene) -> int:
    """How many objects more can be placed; four do not fit around a relation."""
    return MAX_THINGS - (scene.relation is not None) - sum(group.count for group in scene.groups)


def wrong_count(rng: random.Random, scene: Scene) -> Scene | None:
    """One group has one object more or less."""
    steps = (-1, 1) if _room(scene) > 0 else (-1,)
    changes = [(i, step) for i, group in enumerate(scene.groups) for step in steps if group.count + step >= 1]
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
    groups = _with(scene.groups, index, replace(scene.groups[index], count=0))
    kept = tuple(group for group in groups if group.count)
    alone = replace(scene, relation=None if index < 2 else scene.relation)
    if rng.random() < 0.5:
        return place(rng, replace(alone, groups=kept, things=()))
    noun = scene.groups[index].noun
    return replace(alone, groups=kept, things=tuple(thing for thing in scene.things if thing.noun != noun))


def extra_object(rng: random.Random, scene: Scene) -> Scene | None:
    """Something is there that nobody named."""
    if _room(scene) <= 0:
        return None
    noun, colour = _other_kind(rng, scene, None)
    return _add(rng, scene, (*scene.groups, Group(noun, 1, colour)), len(scene.groups))


def _drop(rng: random.Random, scene: Scene, groups: tuple[Group, ...], index: int) -> Scene:
    """Take one thing of group `index` away, in place half of the time, so that size does not give counts away."""
    if scene.relation or rng.random() < 0.5:
        return place(rng, replace(scene, groups=groups, things=()))
    gone = rng.choice([number for number, thing in enumerate(scene.things) if thing.noun == groups[index].noun])
    return replace(scene, groups=groups, things=scene.things[:gone] + scene.things[gone + 1 :])


def _add(rng: random.Random, scene: Scene, groups: tuple[Group, ...], index: int) -> Scene:
    """Add one thing to group `index`, in place half of the time if there is room."""
    if scene.relation is None and rng.random() < 0.5:
        for _ in range(60):
            size = min(50, rng.choice(scene.things).size)
            low, high = size // 2 + 2, CANVAS - size // 2 - 2
            group = groups[index]
            thing = Thing(group.noun, group.colour, rng.randint(low, high), rng.randint(low, high), size)
            if all(_clear(thing, other) for other in scene.things):
                things = sorted((*scene.things, thing), key=lambda item: [g.noun for g in groups].index(item.noun))
                return replace(scene, groups=groups, things=tuple(things))
    return place(rng, replace(scene, groups=groups, things=()))


def _clear(a: Thing, b: Thing) -> bool:
    return max(abs(a.x - b.x), abs(a.y - b.y)) >= (a.size + b.size) / 2 + GAP


def wrong_background(rng: random.Random, scene: Scene) -> Scene:
    """Another background, which only a prompt that names it minds."""
    return replace(scene, background=rng.choice([name for name in BACKGROUNDS if name != scene.background]))


CORRUPTIONS: dict[str, Corruption] = {
    "replace object": wrong_object,
    "replace colour": wrong_colour,
    "swap attribute": swap_colours,
    "swap relation": wrong_relation,
    "count +-1": wrong_count,
    "missing object": missing_object,
    "extra object": extra_object,
    "background": wrong_background,
}
WEIGHTS = (14, 14, 20, 24, 24, 8, 8, 3)  # how often each is drawn for training: the hard ones more


def corrupt(rng: random.Random, scene: Scene, times: int = 1) -> Scene:
    """Apply `times` corruptions that fit, one after another."""
    done = 0
    while done < times:
        name = rng.choices(tuple(CORRUPTIONS), WEIGHTS)[0]
        changed = CORRUPTIONS[name](rng, scene)
        if changed is not None:
            scene, done = changed, done + 1
    return scene

