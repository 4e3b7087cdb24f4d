"""The oracle: what it calls right on hand-made readings, and that nothing that guides a search can reach it."""

import random
from dataclasses import replace

import pytest

from core.evaluation.oracle.check import UNCLEAR, Reading, check
from core.world.scene import Group, Scene, Thing, sample_scene
from tests.test_architecture import FILES, name_of, ours

CAR = Thing("car", "red", "plain", None, 30, 60, 44)
APPLES = (
    Thing("apple", "green", "striped", None, 96, 30, 44),
    Thing("apple", "green", "striped", None, 96, 90, 44),
)
ASKED = Scene(
    (Group("car", 1, "red"), Group("apple", 2, "green", "striped")), relations=((0, "left", 1),), background=""
)
SHOWN = Reading((CAR, *APPLES), "white")


def seen(*things, **other):
    return Reading(tuple(things), "white", **other)


def wrong(reading, scene=ASKED):
    """The atoms that fail; strict must say the same as all of them."""
    verdict = check(reading, scene)
    failed = [name for name, right in verdict.atoms.items() if not right]
    assert verdict.strict == (not failed and not verdict.unclear)
    return failed


def test_a_scene_shown_as_asked_passes():
    verdict = check(SHOWN, ASKED)
    assert verdict.strict and verdict.lenient and verdict.mean == verdict.geometric == 1
    assert list(verdict.atoms) == [
        "1 object", "1 count", "1 colour", "2 object", "2 count", "2 colour", "2 pattern", "1 left 2", "nothing else",
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(300))
def test_every_drawn_scene_is_right_about_itself(seed):
    scene = sample_scene(random.Random(seed), allow_held_out=True)
    verdict = check(Reading.of(scene), scene)
    assert verdict.strict and verdict.lenient and not verdict.dead_zone


@pytest.mark.parametrize(
    ("things", "failed"),
    [
        ((replace(CAR, colour="blue"), *APPLES), ["1 colour"]),
        ((CAR, APPLES[0], replace(APPLES[1], pattern="dotted")), ["2 pattern"]),
        ((CAR, APPLES[0], replace(APPLES[1], colour=UNCLEAR)), ["2 colour"]),
        ((CAR, replace(APPLES[0], x=96, y=60)), ["2 count"]),
        ((CAR, *APPLES, replace(CAR, x=120)), ["1 count", "1 left 2"]),
        ((CAR, *APPLES, replace(CAR, noun="cat", y=110)), ["nothing else"]),
        ((replace(CAR, noun="bus"), *APPLES), ["1 object", "1 count", "1 colour", "1 left 2", "nothing else"]),
        ((replace(CAR, x=110), *(replace(apple, x=30) for apple in APPLES)), ["1 left 2"]),
        ((replace(CAR, x=96, y=60), *APPLES), ["1 left 2"]),
        ((), ["1 object", "1 count", "1 colour", "2 object", "2 count", "2 colour", "2 pattern", "1 left 2"]),
    ],
)
def test_a_near_miss_fails_what_it_misses(things, failed):
    assert wrong(seen(*things)) == failed


def test_what_is_left_open_may_be_anything():
    assert wrong(seen(replace(CAR, pattern="dotted", size_name="big"), *APPLES)) == []
    assert wrong(SHOWN, replace(ASKED, background="white")) == []
    assert wrong(SHOWN, replace(ASKED, background="blue")) == ["background"]


def test_sizes_are_asked_for_by_name():
    asked = Scene((Group("car", size="big"),))
    assert wrong(seen(replace(CAR, size_name="big")), asked) == []
    assert wrong(seen(CAR), asked) == wrong(seen(replace(CAR, size_name=UNCLEAR)), asked) == ["1 size"]


def test_next_is_near_and_no_direction():
    cat, dog = Thing("cat", None, None, None, 30, 60, 44), Thing("dog", None, None, None, 90, 60, 44)
    asked = Scene((Group("cat"), Group("dog")), relations=((0, "next", 1),))
    assert wrong(seen(cat, dog), asked) == []
    assert wrong(seen(cat, replace(dog, x=100)), asked) == ["1 next 2"]
    assert not check(seen(cat, replace(dog, x=100)), asked).dead_zone


def test_doubt_and_disagreement_fail_strict_only():
    for reading in (
        replace(SHOWN, unclear=True),
        replace(SHOWN, second=replace(SHOWN, unclear=True)),
        replace(SHOWN, second=seen(replace(CAR, colour="blue"), *APPLES)),
    ):
        verdict = check(reading, ASKED)
        assert verdict.unclear and not verdict.strict
        assert verdict.lenient and verdict.mean == 1


def test_readers_need_not_agree_on_what_nobody_asked():
    other = replace(SHOWN, things=(replace(CAR, pattern="dotted", x=33), *APPLES))
    assert check(replace(SHOWN, second=other), ASKED).strict


def test_lenient_forgives_extras_and_not_counts():
    """GenEval asks "at least one", exactly n of several, and looks at the surest of each."""
    cat = replace(CAR, noun="cat")
    assert check(seen(CAR, *APPLES, cat, replace(CAR, colour="blue")), ASKED).lenient
    assert not check(seen(replace(CAR, colour="blue"), *APPLES, CAR), ASKED).lenient, "the surest car is blue"
    assert not check(seen(CAR, *APPLES, replace(APPLES[0], y=60)), ASKED).lenient
    assert not check(seen(CAR, APPLES[0]), ASKED).lenient


def test_on_a_diagonal_lenient_sees_both_and_strict_neither_beyond_the_larger():
    cat, dog = Thing("cat", None, None, None, 30, 30, 40), Thing("dog", None, None, None, 95, 90, 40)
    left, above = (Scene((Group("cat"), Group("dog")), ((0, name, 1),)) for name in ("left", "above"))
    assert check(seen(cat, dog), left).lenient and check(seen(cat, dog), above).lenient
    assert check(seen(cat, dog), left).strict and not check(seen(cat, dog), above).strict


def test_the_dead_zone_is_where_no_direction_holds():
    cat, dog = Thing("cat", None, None, None, 60, 60, 60), Thing("dog", None, None, None, 80, 70, 60)
    asked = Scene((Group("cat"), Group("dog")), ((0, "left", 1),))
    assert check(seen(cat, dog), asked).dead_zone
    assert not check(seen(dog, replace(cat, x=10)), asked).dead_zone
    assert not check(seen(cat), asked).dead_zone


# Who may know of it

GUIDES = ("core.search", "core.generators", "core.verifiers", "core.models", "core.world", "core.training")


def reached(start: str) -> set[str]:
    """All modules of ours that importing `start` can come to import, however deep."""
    direct = {name_of(path): ours(path) for path in FILES}
    packages = {name for name in direct if any(other.startswith(name + ".") for other in direct)}
    found, front = set(), {start}
    while front:
        module = front.pop()
        found.add(module)
        above = {module.rpartition(".")[0]} & packages
        front |= {name for name in (direct[module] | above) & direct.keys() if name not in found}
    return found


@pytest.mark.parametrize("name", [name_of(path) for path in FILES if name_of(path).startswith(GUIDES)])
def test_no_path_leads_from_what_guides_to_the_evaluation(name):
    assert not [module for module in reached(name) if module.startswith("core.evaluation")]


def test_paths_are_followed():
    assert "core.world.scene" in reached("core.evaluation.spritebench.run")
