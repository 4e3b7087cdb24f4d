"""Laws of questions and their answers. No artwork, no networks."""

import random
from dataclasses import replace

import pytest

from core.world.captions import FAMILY, INDEX, describe, full_prompt
from core.world.corruptions import CORRUPTIONS, corrupt, read, wrong_atoms
from core.world.questions import ASKED, MAX_ASKED, MAX_NOUNS, Question, answer, questions
from core.world.scene import Group, Scene, place, sample_scene

SCENES = [sample_scene(random.Random(seed)) for seed in range(150)]


def wrong(prompt: str, scene: Scene) -> list[Question]:
    return [question for question in questions(prompt) if not answer(question, scene)]


def test_a_scene_answers_yes_to_every_question_of_every_caption_of_it():
    rng = random.Random(0)
    for scene in SCENES:
        captions = [
            full_prompt(scene),
            describe(scene, rng, template=FAMILY),
            *(describe(scene, rng) for _ in range(5)),
        ]
        assert [wrong(caption, scene) for caption in captions] == [[]] * 7


def test_questions_fail_where_atoms_are_wrong_and_nowhere_else():
    """On a scene's corruptions, and on other scenes, which lack nearly everything."""
    rng = random.Random(1)
    for scene, stranger in zip(SCENES, SCENES[1:], strict=False):
        prompt = describe(scene, rng)
        for other in (corrupt(rng, scene), corrupt(rng, scene, 3), stranger):
            assert bool(wrong(prompt, other)) == bool(wrong_atoms(read(prompt), other)), prompt


@pytest.mark.parametrize("name", [name for name in CORRUPTIONS if name != "background"])
def test_a_corruption_fails_the_questions_that_are_about_it(name):
    about = {
        "replace object": {"object", "count", "else"}, "replace colour": {"colour"}, "replace pattern": {"pattern"},
        "replace size": {"size"}, "swap attribute": {"colour", "pattern", "size"}, "swap relation": {"relation"},
        "count +-1": {"count"}, "missing object": {"object", "count"}, "extra object": {"else"},
    }[name]  # fmt: skip
    rng = random.Random(2)
    for scene in SCENES:
        if (other := CORRUPTIONS[name](rng, scene)) is not None:
            assert about & {question.kind for question in wrong(full_prompt(scene), other)}, full_prompt(scene)


def test_every_atom_that_is_wrong_has_its_question():
    """Each failed count, look and relation, once; an object that is missing fails all that is said of it."""
    groups = Group("car", 1, "red", "striped"), Group("cat", 2, size="small")
    scene = place(random.Random(4), Scene(groups, ((0, "left", 1),), "white"))
    count = {
        "a red car to the left of two cats": 0, "a car to the left of some cats": 0,
        "a blue car to the left of two cats": 1, "a red car to the right of two cats": 1,
        "a blue car to the right of three cats": 3,
        "a red car": 1,  # the cats are extra
        "a striped red car to the left of two small cats": 0,
        "a plain red car to the left of two big cats": 2,
        "a red car next to a big dog": 5,  # the dog, its count, its size, the relation; the cats are extra
        "a red car and two cats and a dog": 2,  # the dog and its count
        "a red car and two cats on blue": 1,
    }  # fmt: skip
    assert {prompt: len(wrong(prompt, scene)) for prompt in count} == count


def test_all_things_of_a_kind_must_look_as_asked():
    scene = place(random.Random(0), Scene((Group("hat", 3, "red", "plain"),), (), "white"))
    first, *rest = scene.things
    motley = replace(scene, things=(replace(first, colour="blue"), *rest))
    assert wrong("three red hats", scene) == []
    assert wrong("three red hats", motley) == [Question("colour", ("hat", "red"))]


def test_questions_read_well():
    texts = [question.text for question in questions("an apple and two small red cars to the left of a tree on blue")]
    assert texts == [
        "is there an apple?", "is there exactly one apple?",
        "are there cars?", "are there exactly 2 cars?", "are the cars red?", "are the cars small?",
        "is there a tree?", "is there exactly one tree?", "are the cars left of the tree?",
        "is the background blue?", "is there nothing else?",
    ]  # fmt: skip
    assert questions("some cats")[1].text == "are there two cats or more?"


def test_what_names_nothing_asks_nothing():
    assert questions("") == questions("a lovely sunset") == ()
    assert [question.kind for question in questions("a blue background")] == ["background"]


def test_the_same_thing_is_not_asked_twice():
    asked = questions("a red car and a red car and a blue car")
    assert len(set(asked)) == len(asked)
    assert Question("count", ("car", "three")) in asked


def test_questions_are_few_and_their_words_are_known():
    """However long the prompt is."""
    rng = random.Random(3)
    prompts = [describe(scene, rng, complete=1) for scene in SCENES]
    prompts.append(" and ".join(f"a small striped red {noun}" for noun in ("car", "hat", "cup", "key", "kite", "bell")))
    prompts.append(" to the left of ".join(["a cat", "a dog"] * 20))
    for prompt in prompts:
        asked = questions(prompt)
        assert len(asked) <= MAX_ASKED and asked[-1].kind == "else"
        assert all(question.kind in ASKED and 0 < len(question.words) <= MAX_NOUNS for question in asked)
        assert all(word in INDEX for question in asked for word in question.words)
