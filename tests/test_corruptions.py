"""Laws of corruptions and of counting wrong atoms. No artwork, no networks."""

import random

import pytest

from core.world.captions import FAMILY, describe, full_prompt
from core.world.corruptions import CORRUPTIONS, LEFT_OUT, change, corrupt, left_out, read, wrong_atoms
from core.world.holdouts import held_out
from core.world.scene import MAX_THINGS, Group, Scene, apart, groups_hold, of_group, place, sample_scene, size_word

SCENES = [sample_scene(random.Random(seed)) for seed in range(120)]


def test_a_scene_entails_every_caption_of_it():
    """Partial captions, digits, the held-out family, 'some', both orders: none contradicts its own scene."""
    rng = random.Random(0)
    for scene in SCENES:
        captions = [describe(scene, rng) for _ in range(6)] + [describe(scene, rng, template=FAMILY)]
        assert [wrong_atoms(read(caption), scene) for caption in captions] == [0] * 7


@pytest.mark.parametrize("name", [name for name in CORRUPTIONS if name != "background"])
def test_every_corruption_breaks_the_complete_prompt(name):
    rng = random.Random(1)
    changed = [(scene, CORRUPTIONS[name](rng, scene)) for scene in SCENES]
    applied = [(scene, other) for scene, other in changed if other is not None]
    assert applied
    assert all(wrong_atoms(read(full_prompt(scene)), other) >= 1 for scene, other in applied)


def test_a_background_matters_only_to_a_prompt_that_names_it():
    rng = random.Random(2)
    scene = place(rng, Scene((Group("cat"),), (), "blue"))
    other = CORRUPTIONS["background"](rng, scene)
    assert wrong_atoms(read("a cat"), other) == 0
    assert wrong_atoms(read("a cat on a blue background"), other) == 1


def test_corrupted_scenes_are_scenes_of_the_world():
    """As many things as the groups say, room for all, sizes and relations true, nothing that is held out."""
    rng = random.Random(3)
    for scene in SCENES:
        other = corrupt(rng, scene, 3)
        assert held_out(other) is None and apart(other.things)
        assert all(size_word(thing.size, len(other.things)) == thing.size_name for thing in other.things)
        assert all(groups_hold(name, of_group(other, a), of_group(other, b)) for a, name, b in other.relations)
        assert len(other.things) == sum(group.count for group in other.groups) <= MAX_THINGS
        assert len({group.noun for group in other.groups}) == len(other.groups)
        assert all(thing.size / 2 <= min(thing.x, thing.y) and max(thing.x, thing.y) <= 128 - thing.size / 2
                   for thing in other.things)  # fmt: skip


def test_training_never_draws_what_is_left_out(monkeypatch):
    drawn = set()
    for name in CORRUPTIONS:
        monkeypatch.setitem(CORRUPTIONS, name, lambda rng, scene, name=name: drawn.add(name) or scene)
    rng = random.Random(5)
    for scene in SCENES * 2:
        corrupt(rng, scene, 3)
    assert drawn == set(CORRUPTIONS) - {LEFT_OUT}


def test_what_is_left_out_can_still_be_made_and_is_known_from_both_sides():
    """Also as "extra object" read backwards, and by no other corruption."""
    rng = random.Random(6)
    for name in CORRUPTIONS:
        pairs = [(scene, other) for scene in SCENES if (other := change(name, rng, scene)) is not None]
        forth = {left_out(read(full_prompt(scene)), other) for scene, other in pairs}
        back = {left_out(read(full_prompt(other)), scene) for scene, other in pairs}
        assert (forth, back) == ({name == LEFT_OUT}, {name == "extra object"})


def test_wrong_atoms_counts_each_failure_once():
    rng = random.Random(4)
    groups = Group("car", 1, "red", "striped"), Group("cat", 2, size="small")
    scene = place(rng, Scene(groups, ((0, "left", 1),), "white"))
    count = {
        "a red car to the left of two cats": 0, "a car to the left of some cats": 0,
        "a blue car to the left of two cats": 1, "a red car to the right of two cats": 1,
        "a blue car to the right of three cats": 3,
        "a red car": 1,  # the cats are extra
        "a striped red car to the left of two small cats": 0,
        "a plain red car to the left of two big cats": 2,
        "a red car next to a big dog": 5,  # the dog, its count, its size, the relation; the cats are extra
        "a red car and two cats and a dog": 2,  # the dog and its count
    }  # fmt: skip
    assert {prompt: wrong_atoms(read(prompt), scene) for prompt in count} == count
