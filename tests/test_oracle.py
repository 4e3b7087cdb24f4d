"""The oracle: what it calls right on hand-made readings, and that nothing that guides a search can reach it."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from core.evaluation.oracle import by_eye, train
from core.evaluation.oracle.agree import read
from core.evaluation.oracle.check import UNCLEAR, Reading, check
from core.evaluation.oracle.degrade import CLEAN, KINDS, degrade, overlapped, sample, sample_many
from core.evaluation.oracle.oracle import Oracle, load_reader
from core.evaluation.oracle.reader import NOUNS, PRINTS, READERS, TINTS, seen
from core.evaluation.oracle.targets import loss, targets, truth
from core.evaluation.spritebench.rows import Row
from core.models.weights import to_images
from core.search.errors import WeightsMissing
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


def showing(*things, **other):
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
    assert wrong(showing(*things)) == failed


def test_what_is_left_open_may_be_anything():
    assert wrong(showing(replace(CAR, pattern="dotted", size_name="big"), *APPLES)) == []
    assert wrong(SHOWN, replace(ASKED, background="white")) == []
    assert wrong(SHOWN, replace(ASKED, background="blue")) == ["background"]


def test_sizes_are_asked_for_by_name():
    asked = Scene((Group("car", size="big"),))
    assert wrong(showing(replace(CAR, size_name="big")), asked) == []
    assert wrong(showing(CAR), asked) == wrong(showing(replace(CAR, size_name=UNCLEAR)), asked) == ["1 size"]


def test_next_is_near_and_no_direction():
    cat, dog = Thing("cat", None, None, None, 30, 60, 44), Thing("dog", None, None, None, 90, 60, 44)
    asked = Scene((Group("cat"), Group("dog")), relations=((0, "next", 1),))
    assert wrong(showing(cat, dog), asked) == []
    assert wrong(showing(cat, replace(dog, x=100)), asked) == ["1 next 2"]
    assert not check(showing(cat, replace(dog, x=100)), asked).dead_zone


def test_doubt_fails_strict_only():
    verdict = check(replace(SHOWN, unclear=True), ASKED)
    assert verdict.unclear and not verdict.strict
    assert verdict.lenient and verdict.mean == 1


def test_lenient_forgives_extras_and_not_counts():
    """GenEval asks "at least one", exactly n of several, and looks at the surest of each."""
    cat = replace(CAR, noun="cat")
    assert check(showing(CAR, *APPLES, cat, replace(CAR, colour="blue")), ASKED).lenient
    assert not check(showing(replace(CAR, colour="blue"), *APPLES, CAR), ASKED).lenient, "the surest car is blue"
    assert not check(showing(CAR, *APPLES, replace(APPLES[0], y=60)), ASKED).lenient
    assert not check(showing(CAR, APPLES[0]), ASKED).lenient


def test_on_a_diagonal_lenient_sees_both_and_strict_neither_beyond_the_larger():
    cat, dog = Thing("cat", None, None, None, 30, 30, 40), Thing("dog", None, None, None, 95, 90, 40)
    left, above = (Scene((Group("cat"), Group("dog")), ((0, name, 1),)) for name in ("left", "above"))
    assert check(showing(cat, dog), left).lenient and check(showing(cat, dog), above).lenient
    assert check(showing(cat, dog), left).strict and not check(showing(cat, dog), above).strict


def test_the_dead_zone_is_where_no_direction_holds():
    cat, dog = Thing("cat", None, None, None, 60, 60, 60), Thing("dog", None, None, None, 80, 70, 60)
    asked = Scene((Group("cat"), Group("dog")), ((0, "left", 1),))
    assert check(showing(cat, dog), asked).dead_zone
    assert not check(showing(dog, replace(cat, x=10)), asked).dead_zone
    assert not check(showing(cat), asked).dead_zone


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


# Readers


SCENES = [sample_scene(random.Random(f"reader {seed}"), allow_held_out=True) for seed in range(60)]


def ideal(scenes, grid):
    """The answers of a reader that knows everything."""
    wanted = targets(truth(scenes), grid)
    maps = {"heat": wanted["heat"][:, None].clamp(1e-5, 1 - 1e-5).logit(), "place": wanted["place"]}
    for name, count in (("noun", len(NOUNS)), ("colour", len(TINTS)), ("pattern", len(PRINTS))):
        maps[name] = 20.0 * F.one_hot(wanted[name].clamp(min=0), count).permute(0, 3, 1, 2)
    return maps | {"background": 20.0 * F.one_hot(wanted["background"], 6)}, wanted


def alone(maps):
    """What a reader reads by itself."""
    return [read(one, one) for one in seen(maps)]


@pytest.mark.parametrize("name", READERS)
def test_the_right_answers_are_read_as_the_scene(name):
    maps, wanted = ideal(SCENES, READERS[name].grid)
    for reading, scene in zip(alone(maps), SCENES, strict=True):
        assert check(reading, scene).strict
        places = sorted((round(thing.x), round(thing.y), round(thing.size)) for thing in reading.things)
        assert places == sorted((thing.x, thing.y, thing.size) for thing in scene.things)
    assert float(loss(maps, wanted)[0]) < 1e-3
    assert float(wanted["weight"].sum()) == pytest.approx(sum(len(scene.things) for scene in SCENES)), "one a thing"


@pytest.mark.parametrize("name", READERS)
def test_things_over_each_other_are_still_two(name):
    rng = random.Random(4)
    scenes = [overlapped(rng, scene) for scene in SCENES]
    assert scenes != SCENES
    for reading, scene in zip(alone(ideal(scenes, READERS[name].grid)[0]), scenes, strict=True):
        assert len(reading.things) == len(scene.things)


def test_doubt_is_told():
    maps, _ = ideal(SCENES[:1], 32)
    dim = {**maps, "heat": maps["heat"].clamp(max=-0.1)}
    assert alone(dim)[0].unclear and not alone(dim)[0].things
    torn = {**maps, "noun": maps["noun"] * 0}
    assert alone(torn)[0].unclear
    scene = next(scene for scene in SCENES if scene.things[0].colour)
    pale = ideal([scene], 32)[0]
    [reading] = alone({**pale, "colour": pale["colour"] * 0})
    assert not reading.unclear and {thing.colour for thing in reading.things} <= {UNCLEAR, None}


def together(one, other):
    return [read(*pair) for pair in zip(seen(one), seen(other), strict=True)]


def test_two_right_readers_read_right_in_either_order():
    a, b = (ideal(SCENES, READERS[name].grid)[0] for name in ("a", "b"))
    for reading, other, scene in zip(together(a, b), together(b, a), SCENES, strict=True):
        assert check(reading, scene).strict
        assert sorted(reading.things, key=lambda thing: (thing.y, thing.x)) == sorted(
            other.things, key=lambda thing: (thing.y, thing.x))


def test_what_one_leaves_open_the_other_settles_and_what_one_denies_is_unclear():
    scene = next(scene for scene in SCENES if len(scene.things) == 2 and all(thing.colour for thing in scene.things))
    a, b = ideal([scene], 32)[0], ideal([scene], 16)[0]
    for question, seen_as in (("colour", "colour"), ("pattern", "pattern"), ("noun", None)):
        [reading] = together(a, {**b, question: b[question] * 0.1})
        assert check(reading, scene).strict, question
        [reading] = together(a, {**b, question: b[question].roll(1, 1)})
        assert not check(reading, scene).strict
        unclear = {getattr(thing, seen_as) for thing in reading.things} == {UNCLEAR} if seen_as else reading.unclear
        assert unclear
    [reading] = together(a, {**b, "background": b["background"].roll(1, 1)})
    assert reading.background == UNCLEAR


def test_what_only_one_reader_sees_is_in_doubt():
    scene = next(scene for scene in SCENES if len(scene.things) == 2)
    fewer = replace(scene, things=scene.things[:1])
    for maps in ((ideal([scene], 32), ideal([fewer], 16)), (ideal([fewer], 32), ideal([scene], 16))):
        [reading] = together(*(each for each, _ in maps))
        assert reading.unclear and len(reading.things) == 1


@pytest.mark.parametrize("name", READERS)
def test_a_reader_is_small_and_reads_each_image_by_itself(name):
    torch.manual_seed(0)
    reader = READERS[name]().eval()
    assert sum(p.numel() for p in reader.parameters()) < 2.2e6
    images = torch.rand(3, 3, 128, 128) * 2 - 1
    with torch.inference_mode():
        together, alone = reader(images), reader(images[1:2])
    for question, answers in alone.items():
        torch.testing.assert_close(together[question][1:2], answers, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", READERS)
def test_a_step_of_training_moves_every_weight(name):
    reader = READERS[name]()
    value, logs = train.loss(reader, train.batch(random.Random(1), 4, name, coded=False), torch.Generator())
    value.backward()
    assert set(logs) == {"heat", "noun", "colour", "pattern", "place", "background"}
    assert all(p.grad is not None for p in reader.parameters())


def test_readers_grow_up_apart():
    a, b = READERS["a"](), READERS["b"]()
    assert not {key for key in a.state_dict() if not key.startswith("heads")} & set(b.state_dict())
    rng_a, rng_b = random.Random(1), random.Random(1)
    assert sample_many(rng_a, 50, "a") != sample_many(rng_b, 50, "b")


def test_degrading_keeps_the_picture_and_clean_is_clean():
    images = train.images_of(SCENES[:6], [CLEAN] * 6, torch.Generator())
    rng = random.Random(2)
    for kind in KINDS:
        how = [replace(sample(rng, kind), coded=False) for _ in range(6)]
        worse = degrade(images, how, torch.Generator().manual_seed(1), None)
        error = float((worse - images).square().mean())
        assert -1 <= float(worse.min()) <= float(worse.max()) <= 1
        assert (error == 0) if kind in ("clean", "coded", "flipped") else (0 < error < 0.1)


def test_the_oracle_reads_with_both():
    oracle = Oracle(READERS["a"](), READERS["b"]())
    images = to_images(train.images_of(SCENES[:3], [CLEAN] * 3, torch.Generator()))
    views = [oracle._seen(reader, list(images)) for reader in oracle.readers]
    assert oracle.read(list(images)) == [read(*pair) for pair in zip(*views, strict=True)]
    assert oracle.read([]) == []


def test_missing_weights_say_how_to_make_them(tmp_path):
    with pytest.raises(WeightsMissing, match="oracle.train --reader b"):
        load_reader("b", tmp_path)


# Against people's eyes


def test_agreement_on_a_balanced_sample_tells_about_all():
    """Of 1,000 images 300 pass, of which 10% should not; of the 700 others 5% should: se = 270/305, sp = 665/695."""
    strict = [True] * 50 + [False] * 40
    labels = [True] * 45 + [False] * 5 + [True] * 2 + [False] * 38
    found = by_eye.score(labels, strict, 0.3)
    assert found["agreement"]["mean"] == pytest.approx(83 / 90, abs=1e-4)
    assert found["sensitivity"] == pytest.approx(270 / 305, abs=1e-4)
    assert found["specificity"] == pytest.approx(665 / 695, abs=1e-4)


def test_as_many_passes_as_fails_are_collected_and_shown(monkeypatch):
    rows = [Row(f"r-{i}", "t", f"prompt {i}", Scene((Group("cat"),))) for i in range(8)]
    pictures = {row.prompt: np.full((1, 128, 128, 3), 10 * i, np.uint8) for i, row in enumerate(rows)}
    monkeypatch.setattr(by_eye, "single_samples", lambda generator, prompt, count, seed: pictures[prompt])

    class Toy:
        def read(self, images):
            return [showing(replace(CAR, noun="cat")) if image[0, 0, 0] % 20 else showing() for image in images]

    items, rate = by_eye.collect(None, Toy(), rows, 3)
    assert [item["strict"] for item in items] == [True] * 3 + [False] * 3 and rate == 0.5
    assert by_eye.sheet(items, 0).size[0] == by_eye.COLUMNS * (by_eye.SIDE + 8)


def test_labels_left_open_are_asked_for(tmp_path):
    (tmp_path / "labels.jsonl").write_text('{"label": true}\n{"label": null}\n')
    with pytest.raises(SystemExit, match="first 1"):
        by_eye.read_labels(tmp_path)
