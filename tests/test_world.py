"""The emoji world: scenes keep their promises, captions and prompts mean the same scene."""

import random
import re

import pytest

from core.world import captions
from core.world.captions import INDEX, VOCABULARY, check, describe, encode, full_prompt, parse, words
from core.world.scene import CANVAS, GAP, MAX_THINGS, SIZES, Group, Scene, holds, place, sample_scene
from core.world.vocabulary import COLOURS, KINDS, OPPOSITE, RELATIONS

SCENES = [sample_scene(random.Random(seed)) for seed in range(400)]


def test_world_is_wide_enough():
    assert len(KINDS) >= 20 and len(COLOURS) >= 6 and len(RELATIONS) == 4 and MAX_THINGS == 4


@pytest.mark.parametrize("scene", SCENES[:60], ids=lambda scene: full_prompt(scene))
def test_things_lie_on_the_canvas_apart_and_as_many_as_asked(scene):
    assert len(scene.things) == sum(group.count for group in scene.groups)
    for i, a in enumerate(scene.things):
        assert a.size / 2 <= a.x <= CANVAS - a.size / 2 and a.size / 2 <= a.y <= CANVAS - a.size / 2
        for b in scene.things[:i]:
            assert max(abs(a.x - b.x), abs(a.y - b.y)) >= (a.size + b.size) / 2 + GAP


def test_a_placed_relation_holds_and_its_opposite_does_not():
    related = [scene for scene in SCENES if scene.relation and [g.count for g in scene.groups] == [1, 1]]
    assert len(related) > 50
    for scene in related:
        a, b = scene.things
        assert holds(scene.relation, a, b) and holds(OPPOSITE[scene.relation], b, a)
        assert not holds(OPPOSITE[scene.relation], a, b)


def test_the_same_seed_gives_the_same_scene():
    assert sample_scene(random.Random(5)) == sample_scene(random.Random(5))
    assert len({sample_scene(random.Random(seed)) for seed in range(50)}) == 50


@pytest.mark.parametrize("count", [0, MAX_THINGS + 1])
def test_a_scene_that_does_not_fit_says_what_fits(count):
    with pytest.raises(ValueError, match=f"1 to {MAX_THINGS}"):
        place(random.Random(0), Scene((Group("cat", count),), None, "white"))


def test_sizes_shrink_as_things_become_more():
    assert all(SIZES[n][1] >= SIZES[n + 1][1] for n in range(1, MAX_THINGS))


def test_full_prompt_parses_back_to_the_scene():
    for scene in SCENES:
        read = parse(full_prompt(scene))
        assert (read.groups, read.relation) == (scene.groups, scene.relation)


def test_complete_captions_describe_the_scene_in_either_order():
    for seed, scene in enumerate(SCENES):
        read = parse(describe(scene, random.Random(seed), complete=1.0))
        assert sorted(read.groups, key=str) == sorted(scene.groups, key=str)
        if len(scene.groups) > 1 and read.groups[0] != scene.groups[0] and scene.relation:
            assert read.relation == OPPOSITE[scene.relation]
        elif scene.relation:
            assert read.relation == scene.relation
        assert read.background in ("", scene.background)


def test_captions_use_only_known_words():
    for seed, scene in enumerate(SCENES):
        assert check(describe(scene, random.Random(seed))).unknown == ()


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("two crimson automobiles", "two red cars"),
        ("A picture of 3 puppies!", "three dogs"),
        ("a violet present on top of a home", "a purple gift above a house"),
        ("a pair of kittens", "two cats"),
        ("a red car left of a green apple", "a red car to the left of a green apple"),
    ],
)
def test_free_wording_reads_as_the_plain_one(typed, plain):
    assert words(typed) == words(plain)


def test_check_names_unknown_words_with_the_nearest_known_one():
    found = check("a blu car under the sunset")
    assert dict(found.unknown)["blu"] == "blue" and "sunset" in dict(found.unknown)
    assert {"car", "below"} <= set(found.known) and found.has_object


HOSTILE = ["", "   ", "sunset over the sea", "<script>alert(1)</script>", "${7*6}", "\x00\x07", "🦊🦊"]


@pytest.mark.parametrize("prompt", HOSTILE)
def test_check_never_fails_and_says_when_no_object_is_named(prompt):
    found = check(prompt)
    assert not found.has_object and any("no object" in note for note in found.notes)


def test_long_prompts_are_cut_and_said_so():
    prompt = "a red car and " * 2000
    assert len(encode(prompt)) == captions.MAX_WORDS + 1
    assert any("first" in note for note in check(prompt).notes)


def test_every_table_word_can_be_typed_and_every_index_is_its_own():
    assert len(set(VOCABULARY)) == len(VOCABULARY) == len(INDEX)
    surface = " ".join(kind.plural for kind in KINDS)
    assert words(surface) == [kind.noun for kind in KINDS][: captions.MAX_WORDS]
    assert not re.search("[A-Z]", " ".join(VOCABULARY))
