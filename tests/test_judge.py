"""Laws of the judge and of what it is trained with. Random networks, no artwork."""

import math
import random

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from core.models.judge import FAMILIES, NAMED, SLOTS, Gather, Judge, JudgeConfig, encode, maps
from core.training import judge as training
from core.training.cells import NOUNS
from core.training.judge import (
    ASKED,
    MEMBERS,
    batch,
    calibration_error,
    choose,
    fit_temperature,
    motley,
    naming_loss,
    pose,
    sort,
    tokens_of,
    twist,
)
from core.verifiers.judge import LEAST, UNDECIDED, JudgeScore, log_yes
from core.world.captions import VOCABULARY, describe
from core.world.holdouts import held_out
from core.world.questions import ASKED as KINDS
from core.world.questions import MAX_ASKED, MAX_NOUNS, Question, answer, questions
from core.world.scene import Group, Scene, place, sample_scene
from core.world.vocabulary import RELATIONS
from tests.test_models import peak_bytes

PROMPTS = ("a cat", "a red car to the left of a tree", "three small striped hats and a dog on a blue background", "")
SCENES = [sample_scene(random.Random(seed)) for seed in range(60)]


@pytest.fixture(scope="module")
def judge():
    torch.manual_seed(0)
    return Judge().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def verifier(judge):
    return JudgeScore(judge)


def images(count):
    return np.random.default_rng(0).integers(0, 255, (count, 128, 128, 3)).astype(np.uint8)


def test_a_question_is_its_kind_and_its_words():
    asked = encode(questions("a red car and a tree"))
    assert asked.shape == (6, SLOTS) and (asked[:, 0] > 0).all()
    assert [VOCABULARY[index] for index in asked[2, 1:] if index] == ["car", "red"]
    assert encode([]).shape == (0, SLOTS) and SLOTS == 1 + MAX_NOUNS


def test_the_other_questions_do_not_change_an_answer(judge):
    """Nor does padding; that is what makes a batch equal to single images."""
    seen = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1
    asked = encode(questions(PROMPTS[2]))[None]
    together, _ = judge(seen, torch.nn.functional.pad(asked, (0, 0, 0, 5)))
    alone = torch.cat([judge(seen, asked[:, [number]])[0] for number in range(asked.shape[1])], 1)
    assert torch.allclose(together[:, : asked.shape[1]], alone, atol=1e-4)


def test_a_word_gathers_the_tokens_that_name_it():
    """Two tokens show a cat and are centres: the slot of "cat" counts two, and the slot of the kind finds no rest."""
    config = JudgeConfig()
    names = torch.full((1, config.side**2, sum(FAMILIES) + 1), -20.0)
    names[..., [sum(FAMILIES[:family]) for family in range(len(FAMILIES))]] = 20  # each family names nothing
    cat = 1 + NAMED[0].index("cat")
    for token in (20, 200):
        names[0, token, 0], names[0, token, cat], names[0, token, -1] = -20, 20, 20
    words, ground, centre = maps(names)
    for shown in (words[0, cat - 1], 1 - ground[0]):
        assert (shown > 0.5).nonzero().flatten().tolist() == [20, 200]
    shown = torch.stack([ground, words[:, cat - 1], words[:, -1]], 1)[:, None]  # kind, "cat", "two"
    asked = encode([Question("count", ("cat", "two"))])[None, :, :3]
    told = Gather(config)._told(shown, centre[:, None, None], asked)
    number = told[0, 0, :, :7].argmax(-1)  # a soft one-hot of the count
    assert number.tolist() == [0, 2, 0]


def test_what_is_told_of_a_relation_has_the_sign_of_its_answer():
    """On single things seen perfectly; now and then it is off by a token where little decides."""
    gather, right = Gather(JudgeConfig()), []
    for scene in SCENES:
        if [group.count for group in scene.groups][:2] != [1, 1]:
            continue
        grid = tokens_of(scene)
        first, second = scene.groups[0].noun, scene.groups[1].noun
        shown = torch.stack([grid[:, 0] == NOUNS.get(noun, -1) for noun in ("", first, "", second)]).float()
        for name in RELATIONS:
            question = Question("relation", (first, name, second))
            answers = {answer(question, scene, margin) for margin in (0.75, 1.35)}
            told = gather._told(shown[None, None], grid[None, None, None, :, -2], encode([question])[None, :, :4])
            straight, near = told[0, 0, 3, -2:].tolist()
            if len(answers) == 1:
                right.append(((near if name == "next" else straight) > 0) is answers.pop())
            assert (straight if name == "next" else near) == 0
    assert len(right) > 100 and right.count(False) <= 0.02 * len(right)


def test_scores_are_means_of_the_answers(verifier):
    for prompt in PROMPTS:
        told, scores = verifier.answers(prompt, images(2)), verifier.score(prompt, images(2))
        assert [[text for text, _ in row] for row in told] == [[q.text for q in questions(prompt)]] * 2
        means = [sum(math.log(max(yes, LEAST)) for _, yes in row) / len(row) if row else UNDECIDED for row in told]
        assert scores == pytest.approx(means, abs=1e-5)


def test_one_answer_that_is_very_sure_does_not_outweigh_two_that_are_wrong():
    sure, twice = torch.tensor([-40.0, 9.0, 9.0]), torch.tensor([-4.0, -4.0, 9.0])
    assert log_yes(sure).mean() > log_yes(twice).mean() > math.log(LEAST)
    assert log_yes(torch.tensor(-40.0)).exp() == pytest.approx(LEAST)


def test_the_price_is_what_torch_counts_whatever_the_prompt(verifier):
    """Twenty questions are paid, however many are asked; so costs add up as they were forecast."""
    for prompt in PROMPTS:
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            verifier.score(prompt, images(1))
        assert verifier.cost.flops_verifier == pytest.approx(counter.get_total_flops(), rel=0.02)


def test_it_is_small_and_its_memory_is_about_what_is_said(verifier):
    few, many = (peak_bytes(lambda n=n: verifier.score(PROMPTS[1], images(n))) for n in (8, 16))
    assert 1 / 1.5 < verifier.image_bytes / ((many - few) / 8) < 1.5
    assert verifier.weights_bytes / 2 < 6e6  # on disk, in half precision


# Training


def test_lessons_are_full_true_and_as_often_yes_as_no():
    rng = random.Random(0)
    lesson = batch(rng, 8 * MEMBERS)
    real = lesson.asked[..., 0] > 0
    assert lesson.asked.shape == (32, ASKED, SLOTS) and real.float().mean() > 0.9
    assert (lesson.weight[~real] == 0).all() and (lesson.weight[real] > 0).all()
    assert 0.4 < float(lesson.yes[real].mean()) < 0.6
    kinds = lesson.asked[..., 0][real]
    assert set(kinds.tolist()) == set(range(1, len(KINDS) + 1))


def test_weights_make_every_sort_of_question_undecided():
    """What is asked tells nothing of the answer, be it "exactly one" or "exactly five"."""
    rng = random.Random(1)
    chosen = [choose(rng, scene, pose(describe(scene, rng)), [pose(describe(other, rng))])
              for scene, other in zip(SCENES, SCENES[1:], strict=False)]  # fmt: skip
    weight = training.balance(chosen)
    sums: dict = {}
    for question, said in (one for found in chosen for one in found):
        sums.setdefault(sort(question), [0.0, 0.0])[said] += weight[sort(question), said]
    both = {key: pair for key, pair in sums.items() if min(pair) > 0 and max(weight[key, s] for s in (0, 1)) < 3}
    assert len(both) > 20 and all(pair[0] == pytest.approx(pair[1]) for pair in both.values())


def test_chosen_questions_have_their_answers_by_construction():
    rng = random.Random(2)
    for scene, other in zip(SCENES, SCENES[1:], strict=False):
        for question, said in choose(rng, scene, pose(describe(scene, rng)), [pose(describe(other, rng))]):
            assert answer(question, scene) is said
            assert all(word in VOCABULARY for word in question.words)


def test_a_twisted_question_asks_something_else_of_the_same_kind():
    rng = random.Random(3)
    for scene in SCENES:
        for question in questions(describe(scene, rng)):
            other = twist(rng, question, scene)
            assert other.kind == question.kind and other != question


def test_one_of_several_may_differ_and_then_they_do_not_look_as_asked():
    scene = place(random.Random(0), Scene((Group("hat", 3, "red", "plain"), Group("cat")), (), "white"))
    looks = Question("colour", ("hat", "red")), Question("pattern", ("hat", "plain"))
    for seed in range(20):
        other = motley(random.Random(seed), scene)
        same = [thing == before for thing, before in zip(other.things, scene.things, strict=True)]
        assert same.count(False) <= 1 and same[3]
        assert all(same) == all(answer(question, other) for question in looks)
    assert motley(random.Random(0), SCENES[0]).groups == SCENES[0].groups
    assert all(held_out(scene) is None for scene in batch(random.Random(5), 16).scenes)


def test_tokens_say_what_is_shown_and_every_thing_weighs_the_same():
    for scene in SCENES:
        grid = tokens_of(scene)
        assert grid[:, -2].sum() == len(scene.things)
        assert (grid[grid[:, -2] == 1, 0] > 0).all()  # a centre lies on its thing
        assert ((grid[:, 0] > 0) != (grid[:, 4] > 0)).all()  # a thing or the background
        weight = grid[grid[:, 0] > 0, -1].sum()
        assert weight == pytest.approx(training.SHARE * len(scene.things), rel=1e-4)


def test_naming_is_best_where_it_is_true():
    shown = torch.stack([tokens_of(scene) for scene in SCENES[:4]])
    names = torch.zeros(4, 256, sum(FAMILIES) + 1)
    start = 0
    for family, size in enumerate(FAMILIES):
        names[..., start : start + size] = 12.0 * torch.nn.functional.one_hot(shown[..., family].long(), size)
        start += size
    names[..., -1] = 24 * shown[..., -2] - 12
    assert naming_loss(names, shown) < 0.01 < naming_loss(names.flip(1), shown)


def test_the_temperature_is_found():
    torch.manual_seed(0)
    true, even = torch.randn(20000) * 2, torch.ones(20000)
    yes = torch.bernoulli(true.sigmoid())
    assert fit_temperature(3 * true, yes, even) == pytest.approx(3, rel=0.1)
    error, wild = (calibration_error((scale * true).sigmoid(), yes, even) for scale in (1, 3))
    assert error < 0.02 < wild


def test_every_question_of_a_prompt_fits():
    assert len(questions(" and ".join("a small red hat" for _ in range(9)))) <= MAX_ASKED
