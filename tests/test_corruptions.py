"""Laws of corruptions and of counting wrong atoms. No artwork, no networks."""

import random

import pytest

from core.world.captions import describe, full_prompt
from core.world.corruptions import CORRUPTIONS, corrupt, read, wrong_atoms
from core.world.scene import MAX_THINGS, Group, Scene, place, sample_scene

SCENES = [sample_scene(random.Random(seed)) for seed in range(60)]


def test_a_scene_entails_every_caption_of_it():
    """Partial captions, digits, 'some', both orders of a relation: none contradicts its own scene."""
    rng = random.Random(0)
    for scene in SCENES:
        assert all(wrong_atoms(read(describe(scene, rng)), scene) == 0 for _ in range(6))


@pytest.mark.parametrize("name", [name for name in CORRUPTIONS if name != "background"])
def test_every_corruption_breaks_the_complete_prompt(name):
    rng = random.Random(1)
    changed = [(scene, CORRUPTIONS[name](rng, scene)) for scene in SCENES]
    applied = [(scene, other) for scene, other in changed if other is not None]
    assert applied
    assert all(wrong_atoms(read(full_prompt(scene)), other) >= 1 for scene, other in applied)


def test_a_background_matters_only_to_a_prompt_that_names_it():
    rng = random.Random(2)
    scene = place(rng, Scene((Group("cat"),), None, "blue"))
    other = CORRUPTIONS["background"](rng, scene)
    assert wrong_atoms(read("a cat"), other) == 0
    assert wrong_atoms(read("a cat on a blue background"), other) == 1


def test_corrupted_scenes_are_scenes_of_the_world():
    """As many things as the groups say, room for all, every noun in one group, all inside the canvas."""
    rng = random.Random(3)
    for scene in SCENES:
        other = corrupt(rng, scene, 3)
        assert len(other.things) == sum(group.count for group in other.groups) <= MAX_THINGS
        assert len({group.noun for group in other.groups}) == len(other.groups)
        assert all(thing.size / 2 <= min(thing.x, thing.y) and max(thing.x, thing.y) <= 128 - thing.size / 2
                   for thing in other.things)  # fmt: skip


def test_wrong_atoms_counts_each_failure_once():
    rng = random.Random(4)
    scene = place(rng, Scene((Group("car", 1, "red"), Group("cat", 2)), "left", "white"))
    count = {
        "a red car to the left of two cats": 0, "a car to the left of some cats": 0,
        "a blue car to the left of two cats": 1, "a red car to the right of two cats": 1,
        "a blue car to the right of three cats": 3,
        "a red car": 1,  # the cats are extra
        "a red car and two cats and a dog": 2,  # the dog and its count
    }  # fmt: skip
    assert {prompt: wrong_atoms(read(prompt), scene) for prompt in count} == count
