"""Laws of what verifiers are trained with: groups, ranking, damage, rubric. Random networks, no artwork."""

import itertools
import random

import pytest
import torch

from core.models.reward import Reward, RewardConfig
from core.models.text import tokenise
from core.models.tokenizer import Tokenizer
from core.training import clip_score
from core.training.cells import MARKS, NOUNS, SPANS, TINTS, cells
from core.training.damage import CLEAN, FULL, Damage, apply, sample_damage, worse
from core.training.groups import make_groups
from core.training.image_reward import all_scores, rank_loss
from core.training.loop import ahead
from core.training.verifier_checks import share, spearman
from core.world.holdouts import held_out
from core.world.rubric import WEIGHTS, crispness
from core.world.scene import Group, Scene, place, sample_scene


@pytest.fixture(scope="module")
def reward():
    torch.manual_seed(0)
    return Reward(RewardConfig()).eval().requires_grad_(False)


def test_scoring_a_group_at_once_is_scoring_pair_by_pair(reward):
    """Two groups of two: every prompt on both images of its group, then on its partner's of the next group."""
    images = torch.rand(4, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1
    words = tokenise(["a red car", "two cats", "a blue star above a tree", "three donuts"])
    found = all_scores(reward, reward.trunk(images), words, groups=2)  # [2, 2, 3]
    for group, prompt, column, image in ((0, 1, 0, 0), (0, 0, 1, 1), (1, 1, 0, 2), (0, 1, 2, 3), (1, 0, 2, 0)):
        alone = reward(images[image : image + 1], words[2 * group + prompt][None])  # raw until standardised
        assert found[group, prompt, column] == pytest.approx(float(alone), abs=1e-3)


def test_padding_does_not_change_a_score(reward):
    images, words = torch.zeros(1, 3, 128, 128), tokenise(["a red car"])
    padded = torch.nn.functional.pad(words, (0, 9))
    assert float(reward(images, words)) == pytest.approx(float(reward(images, padded)), abs=1e-4)


def test_ranking_rewards_the_right_order_only():
    wrong, level = torch.tensor([[0, 1, 2]]), torch.zeros(1, 3, dtype=torch.long)
    good, accuracy = rank_loss(torch.tensor([[9.0, 0.0, -9.0]]), wrong, level)
    bad, _ = rank_loss(torch.tensor([[-9.0, 0.0, 9.0]]), wrong, level)
    assert good < 0.01 < 5 < bad and accuracy == 1


def test_ranking_never_compares_unlike_damage_unless_the_scene_is_equally_right():
    level = torch.tensor([[0, 1]])
    silent, _ = rank_loss(torch.tensor([[-5.0, 5.0]]), torch.tensor([[0, 1]]), level)
    crisp, _ = rank_loss(torch.tensor([[-5.0, 5.0]]), torch.tensor([[0, 0]]), level)
    assert silent == 0 and crisp > 5


def test_cells_hold_one_centre_for_each_thing():
    for seed in range(30):
        scene = sample_scene(random.Random(seed))
        grid = cells(scene)
        assert grid[:, 4].sum() == len(scene.things)
        assert (grid[grid[:, 4] == 1, 0] > 0).all()  # a centre lies on its thing


@pytest.mark.parametrize("workers", [0, 2])
def test_data_made_ahead_comes_in_order_and_ends(workers):
    assert list(ahead(divmod, [(number, 3) for number in range(20)], workers)) == [divmod(n, 3) for n in range(20)]


def test_data_made_ahead_may_be_left():
    made = ahead(divmod, ((number, 3) for number in itertools.count()))
    assert next(made) == (0, 0)
    made.close()


def test_clean_images_are_left_alone_and_damage_grows():
    torch.manual_seed(0)
    tokenizer = Tokenizer().eval().requires_grad_(False)
    images, noise = torch.rand(3, 3, 128, 128) * 2 - 1, torch.Generator().manual_seed(0)
    out = apply(tokenizer, images, [CLEAN, FULL, Damage(grain=0.1)], noise)
    assert torch.equal(out[0], images[0])
    assert (out[1:] != images[1:]).any(-1).any(-1).any(-1).all() and out.abs().max() <= 1
    rng = random.Random(0)
    for _ in range(50):
        damage = sample_damage(rng)
        after = worse(rng, damage)
        assert after != damage and after.scales <= damage.scales


def test_every_cell_says_how_its_thing_looks():
    scene = place(random.Random(0), Scene((Group("hat", 1, "red", "striped", "big"), Group("cat")), (), "white"))
    answers = cells(scene)[:, :4]
    hat = [NOUNS["hat"], TINTS["red"], MARKS["striped"], SPANS["big"]]
    assert {tuple(row) for row in answers.tolist()} == {(0, 0, 0, 0), tuple(hat), (NOUNS["cat"], 0, 0, 0)}


def test_no_training_group_shows_or_asks_for_what_is_held_out():
    groups = make_groups(random.Random(0), 30)
    assert all(held_out(scene) is None for scene in groups.scenes)
    assert groups.wrong.shape == (30, 4, 5) and (groups.wrong.diagonal(dim1=1, dim2=2) == 0).all()


def test_training_compares_no_image_that_fails_in_the_way_left_out():
    """Neither in groups (NaN moves no loss) nor in batches of the small CLIP (no probability mass)."""
    groups = make_groups(random.Random(1), 60)
    untold = groups.wrong.isnan()
    assert untold.any() and (~untold).float().mean() > 0.8
    scores = torch.zeros(60, 4, 4, requires_grad=True)
    value, _ = rank_loss(scores, groups.wrong[..., :-1], groups.level[:, None].expand(-1, 4, -1))
    value.backward()
    assert (scores.grad[untold[..., :-1]] == 0).all()
    data = clip_score.batch(random.Random(1), 32)
    assert data.untold.any() and not (data.untold & data.matches).any()


def test_crispness_falls_with_noise():
    values = [crispness((strength / 255) ** 2) for strength in (0, 12, 25)]
    assert values[0] == 1 and values == sorted(values, reverse=True) and len(set(values)) == 3
    assert sum(WEIGHTS.values()) == pytest.approx(1)


def test_spearman_and_wilson():
    a = torch.tensor([1.0, 2, 3, 4])
    assert float(spearman(a, a**3)) == pytest.approx(1) and float(spearman(a, -a)) == pytest.approx(-1)
    assert share(torch.ones(256, dtype=torch.bool)) == "1.000 [0.985, 1.000]"
