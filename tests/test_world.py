"""The emoji world: scenes keep their promises, captions and prompts mean them, every way of drawing agrees."""

import random
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from core.world import captions, compose, render, sprites
from core.world.captions import FAMILY, INDEX, TEMPLATES, VOCABULARY, check, describe, encode, full_prompt, parse, words
from core.world.holdouts import counts_held_out, held_out, held_out_pairs, triple_held_out
from core.world.scene import (
    CANVAS,
    GAP,
    MAX_THINGS,
    SIZES,
    Group,
    Scene,
    Thing,
    groups_hold,
    holds,
    of_group,
    place,
    sample_scene,
    size_word,
    total,
)
from core.world.vocabulary import BACKGROUNDS, COLOURS, KINDS, OPPOSITE, PATTERNS, RELATIONS

SCENES = [sample_scene(random.Random(seed)) for seed in range(400)]
RECOLOURABLE = [kind.noun for kind in KINDS if kind.recolourable]


def said(group: Group) -> Group:
    """A group as a plain prompt gives it back: that it has no pattern is left unsaid."""
    return replace(group, pattern=None) if group.pattern == "plain" else group


def meaning(scene: Scene) -> tuple:
    """Groups and relations, whatever their order."""
    nouns = [group.noun for group in scene.groups]
    relations = {(nouns[a], name, nouns[b]) for a, name, b in scene.relations}
    relations |= {(b, OPPOSITE[name], a) for a, name, b in relations}
    return sorted(map(str, map(said, scene.groups))), relations


def test_world_is_wide_enough():
    assert len(KINDS) >= 54 and len(RECOLOURABLE) >= 26 and len(COLOURS) == 9 and len(PATTERNS) == 4
    assert len(RELATIONS) == 5 and len(BACKGROUNDS) == 6 and MAX_THINGS == 6 and len(TEMPLATES) >= 8


def test_sampled_scenes_are_varied():
    counts = Counter(total(scene) for scene in SCENES)
    assert all(counts[number] >= 10 for number in range(1, MAX_THINGS + 1))
    assert {name for scene in SCENES for _, name, _ in scene.relations} == set(RELATIONS)
    groups = [group for scene in SCENES for group in scene.groups]
    assert {group.size for group in groups} == {None, "small", "big"}
    assert {group.pattern for group in groups} == {None, *PATTERNS} and {g.colour for g in groups} == {None, *COLOURS}


@pytest.mark.parametrize("scene", SCENES[:60], ids=lambda scene: full_prompt(scene))
def test_things_lie_on_the_canvas_apart_and_as_many_as_asked(scene):
    assert len(scene.things) == sum(group.count for group in scene.groups)
    for i, a in enumerate(scene.things):
        assert a.size / 2 <= a.x <= CANVAS - a.size / 2 and a.size / 2 <= a.y <= CANVAS - a.size / 2
        for b in scene.things[:i]:
            assert max(abs(a.x - b.x), abs(a.y - b.y)) >= (a.size + b.size) / 2 + GAP


def test_placed_relations_hold_and_their_opposites_do_not():
    related = [(scene, relation) for scene in SCENES for relation in scene.relations]
    assert len(related) > 100
    for scene, (a, name, b) in related:
        first, second = of_group(scene, a), of_group(scene, b)
        assert groups_hold(name, first, second) and groups_hold(OPPOSITE[name], second, first)
        assert name == "next" or not groups_hold(OPPOSITE[name], first, second)


def test_next_is_a_gap_of_less_than_half_a_thing_and_the_others_have_a_dead_zone():
    def thing(x, y):
        return Thing("cat", None, None, None, x, y, 40)

    assert holds("next", thing(30, 60), thing(89, 60)) and not holds("next", thing(30, 60), thing(90, 60))
    assert not holds("next", thing(30, 60), thing(89, 60), margin=1.2)
    assert holds("left", thing(30, 60), thing(51, 60)) and not holds("left", thing(30, 60), thing(50, 60))
    assert not holds("left", thing(30, 30), thing(60, 61)) and holds("above", thing(30, 30), thing(60, 61))


def test_the_same_seed_gives_the_same_scene():
    assert sample_scene(random.Random(5)) == sample_scene(random.Random(5))
    assert len({sample_scene(random.Random(seed)) for seed in range(50)}) == 50


@pytest.mark.parametrize("count", [0, MAX_THINGS + 1])
def test_a_scene_that_does_not_fit_says_what_fits(count):
    with pytest.raises(ValueError, match=f"1 to {MAX_THINGS}"):
        place(random.Random(0), Scene((Group("cat", count),), (), "white"))


def test_sizes_shrink_as_things_become_more():
    assert all(SIZES[n][None][1] >= SIZES[n + 1][None][1] for n in range(1, MAX_THINGS))


def test_a_size_is_never_two_and_small_and_big_are_far_from_usual():
    for bands in SIZES.values():
        for name, (low, high) in bands.items():
            assert low % 2 == high % 2 == 0 and low <= high
            assert name != "small" or high <= 0.75 * bands[None][0]
            assert name != "big" or low >= 1.3 * bands[None][1]
    for scene in SCENES:
        assert all(size_word(thing.size, len(scene.things)) == thing.size_name for thing in scene.things)


@pytest.mark.parametrize(("prompt", "reason"), [("four small cats", "up to 3"), ("two big cats", "one fits")])
def test_a_size_that_has_no_room_is_refused(prompt, reason):
    with pytest.raises(ValueError, match=reason):
        place(random.Random(0), replace(parse(prompt), background="white"))


# --- what is held out --------------------------------------------------------------------------------------------


def test_the_shares_that_are_held_out():
    pairs = held_out_pairs()
    assert 0.12 <= len(pairs) / (len(RECOLOURABLE) * len(COLOURS)) <= 0.18
    assert max(Counter(noun for noun, _ in pairs).values()) <= 4  # most colours of every class stay
    nouns = [kind.noun for kind in KINDS]
    triples = [triple_held_out(a, name, b) for a in nouns for name in RELATIONS for b in nouns if a != b]
    assert 0.08 <= sum(triples) / len(triples) <= 0.12
    for noun in nouns:
        first, second = counts_held_out(noun)
        assert 2 <= first <= 4 and 2 <= second <= 6 and first != second


def test_a_triple_is_held_out_whichever_way_it_is_said():
    for a in KINDS[:20]:
        for b in KINDS[20:40]:
            for name in RELATIONS:
                assert triple_held_out(a.noun, name, b.noun) == triple_held_out(b.noun, OPPOSITE[name], a.noun)


def test_training_scenes_hold_nothing_that_is_held_out_and_others_may():
    assert all(held_out(scene) is None for scene in SCENES)
    rng = random.Random(0)
    splits = {held_out(sample_scene(rng, allow_held_out=True)) for _ in range(300)}
    assert splits == {None, "pair_ood", "count_ood", "relation_ood"}
    assert held_out(SCENES[0], "plain") is None and held_out(SCENES[0], FAMILY) == "paraphrase"


# --- words -------------------------------------------------------------------------------------------------------


def test_full_prompt_parses_back_to_the_scene():
    for scene in SCENES:
        read = parse(full_prompt(scene))
        assert (read.groups, read.relations) == (tuple(map(said, scene.groups)), scene.relations)


@pytest.mark.parametrize("template", [None, *TEMPLATES, FAMILY])
def test_complete_captions_describe_the_scene_in_every_template(template):
    told = [scene for scene in SCENES if template in (None, FAMILY) or captions._fits(template, scene)]
    assert len(told) > 20
    for seed, scene in enumerate(told):
        read = parse(describe(scene, random.Random(seed), complete=1.0, template=template))
        assert meaning(read) == meaning(scene) and read.background in ("", scene.background)


def test_the_held_out_family_is_told_from_the_others_by_what_models_read():
    scene = place(random.Random(0), Scene((Group("car", 1, "red", "plain"), Group("tree")), ((0, "left", 1),), "white"))
    clause = words(describe(scene, random.Random(0), 1.0, FAMILY))
    assert clause not in [words(describe(scene, random.Random(seed), 1.0)) for seed in range(300)]


def test_a_partial_caption_leaves_out_looks_but_never_an_object():
    for seed, scene in enumerate(SCENES):
        read = parse(describe(scene, random.Random(seed), complete=0.0))
        assert sorted(group.noun for group in read.groups) == sorted(group.noun for group in scene.groups)


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
        ("a tiny polka-dot cap near a huge burger", "a small dotted hat next to a big hamburger"),
        ("a chequered mug", "a checkered cup"),
    ],
)
def test_free_wording_reads_as_the_plain_one(typed, plain):
    assert words(typed) == words(plain)


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("a shirt with stripes", "a striped shirt"),
        ("a hat that is red and dotted", "a red dotted hat"),
        ("a tree with a car to its left", "a car left of a tree"),
        ("to the left of a tree is a car", "a car left of a tree"),
        ("a cat on the left and a dog on the right", "a cat left of a dog"),
        ("on a blue background, two cats", "two cats on blue"),
        ("two cats. the background is blue", "two cats on blue"),
    ],
)
def test_other_orders_mean_the_same(typed, plain):
    assert (meaning(parse(typed)), parse(typed).background) == (meaning(parse(plain)), parse(plain).background)


def test_a_colour_after_on_is_the_backgrounds_only_if_no_object_follows():
    assert parse("a cat on a white chair") == Scene((Group("cat"), Group("chair", 1, "white")))
    assert parse("a cat on white") == Scene((Group("cat"),), (), "white")


def test_relations_may_meet_or_stand_apart():
    assert parse("a cat left of a dog, which is above a car").relations == ((0, "left", 1), (1, "above", 2))
    assert parse("a cat left of a dog and a fox above a car").relations == ((0, "left", 1), (2, "above", 3))


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


def test_check_says_what_was_not_trained():
    assert any("up to 6" in note for note in check("four cats and three dogs").notes)
    assert any("up to 3" in note for note in check("four small cats").notes)
    assert any("one big object" in note for note in check("a big cat and a big dog").notes)
    assert any("one colour only" in note for note in check("a striped banana").notes)


def test_every_table_word_can_be_typed_and_every_index_is_its_own():
    assert len(set(VOCABULARY)) == len(VOCABULARY) == len(INDEX)
    assert [words(kind.plural) for kind in KINDS] == [[kind.noun] for kind in KINDS]
    assert not re.search("[A-Z]", " ".join(VOCABULARY))


# --- pixels ------------------------------------------------------------------------------------------------------


@pytest.fixture
def artwork(monkeypatch):
    """Noise in place of the artwork, which tests do not fetch."""
    noise = np.random.default_rng(0)
    alpha = noise.integers(0, 256, (64, 128, 128, 1))
    made = np.concatenate([noise.integers(0, 256, (64, 128, 128, 3)) * alpha // 255, alpha], -1).astype(np.uint8)
    atlas = {look: made[number % len(made)] for number, look in enumerate(sprites.looks())}
    monkeypatch.setattr(sprites, "load_atlas", lambda: atlas)
    sprites.sprite.cache_clear()
    yield atlas
    sprites.sprite.cache_clear()


@pytest.mark.parametrize("lay", ["_lay", "_lay_one_by_one"])
def test_a_batch_is_drawn_as_scenes_are_drawn_alone(artwork, monkeypatch, lay):
    """Also where things overlap, and where the scene is empty."""
    scenes = [*SCENES[:12], replace(SCENES[0], things=())]
    one, other = SCENES[0].things[0], SCENES[1].things[0]
    scenes.append(replace(SCENES[0], things=(one, replace(other, x=one.x, y=one.y, size=40))))
    monkeypatch.setattr(compose, "_lay_one_by_one", getattr(compose, lay))
    drawn = (compose.compose(scenes, compose.Atlas("cpu", artwork)) + 1) * 127.5
    alone = np.stack([render.render(scene) for scene in scenes]).transpose(0, 3, 1, 2)
    assert np.abs(drawn.numpy() - alone).max() <= 2


def test_copies_of_a_sprite_are_made_once(artwork):
    atlas = compose.Atlas("cpu", artwork)
    compose.compose(SCENES[:20], atlas)
    used, known = atlas.used, len(atlas.start)
    compose.compose(SCENES[:20], atlas)
    assert (atlas.used, len(atlas.start)) == (used, known) and known <= sum(len(s.things) for s in SCENES[:20])


def test_colours_and_patterns_differ_where_they_should():
    """A shaded square: hues apart, light and shade kept, every pattern seen, unsaturated parts left as they are."""
    shade = np.linspace(0.5, 1, 128, dtype=np.float32)[:, None].repeat(128, 1)
    pixels = np.stack([shade, 0.1 * shade, 0.1 * shade, np.ones_like(shade)], -1)
    pixels[:, 100:, :3] = 0.8  # grey
    found = sprites._all_looks(KINDS[0], pixels)
    means = {colour: found["apple", colour, "plain"][:, :90, :3].mean((0, 1)) for colour in COLOURS}
    for a in COLOURS:
        assert all(np.abs(means[a] - means[b]).max() > 25 for b in COLOURS if b != a)
        plain = found["apple", a, "plain"].astype(int)
        assert plain[:10, :90, :3].sum() < plain[-10:, :90, :3].sum() and (plain[:, 104:, :3] == 204).all()
        for pattern in PATTERNS[1:]:
            seen = np.abs(found["apple", a, pattern].astype(int) - plain)[:, :90, :3].max(-1) > 40
            assert 0.15 < seen.mean() < 0.6
