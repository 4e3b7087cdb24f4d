"""Held-out verifier B: its laws, and that nothing which guides a search can reach it. Random network, no artwork."""

import ast
import math
import random
from importlib.metadata import entry_points

import numpy as np
import pytest
import torch

from core.evaluation import held_out_b
from core.evaluation.held_out_b import UNDECIDED, ScoreB, load_b
from core.evaluation.held_out_b.model import GRID, MAPPED, HeldOutB, K, encode
from core.evaluation.held_out_b.train import balance, batch, calibration_error, shown, shown_loss
from core.generators.registry import GENERATORS
from core.search.errors import WeightsMissing
from core.verifiers.registry import VERIFIERS
from core.world.holdouts import held_out
from core.world.questions import questions
from core.world.scene import sample_scene
from tests.test_architecture import FILES, inside, name_of, ours

PROMPTS = ("a cat", "a red car to the left of a tree", "three small striped hats and a dog on a blue background", "")
SCENES = [sample_scene(random.Random(seed)) for seed in range(40)]


@pytest.fixture(scope="module")
def b():
    torch.manual_seed(0)
    return ScoreB(HeldOutB().eval().requires_grad_(False))


def images(count):
    return np.random.default_rng(0).integers(0, 255, (count, 128, 128, 3)).astype(np.uint8)


def test_no_registry_knows_it():
    """Neither by its name nor by a loader that some package brings."""
    assert not {"b", "held_out_b"} & {*VERIFIERS, *GENERATORS}
    groups = ("generators", "verifiers", "strategies")
    brought = [point for group in groups for point in entry_points(group=f"beamscope.{group}")]
    assert not [point for point in brought if point.value.startswith("core.evaluation")]


@pytest.mark.parametrize("path", [path for path in FILES if not inside(name_of(path), "core.evaluation")], ids=name_of)
def test_only_the_evaluation_names_it(path):
    """Not even in a string: that is how registries load."""
    assert not any("held_out_b" in module for module in ours(path))
    tree = ast.parse(path.read_text())
    told = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert not [text for text in told if "held_out_b" in text]


def test_it_shares_no_network_with_those_that_guide():
    for path in FILES:
        if inside(name_of(path), "core.evaluation.held_out_b"):
            used = ours(path)
            assert not [module for module in used if inside(module, "core.verifiers")]
            models = {module for module in used if inside(module, "core.models")}
            elementary = ("core.models.tokenizer", "core.models.weights", "core.models.memory")
            assert all(any(inside(module, allowed) for allowed in elementary) for module in models), name_of(path)


def test_missing_weights_name_the_command_that_makes_them(monkeypatch, tmp_path):
    monkeypatch.setattr(held_out_b, "FOLDER", tmp_path)
    load_b.cache_clear()
    with pytest.raises(WeightsMissing, match="python -m core.evaluation.held_out_b.train"):
        load_b()


def test_scores_are_means_of_the_answers(b):
    for prompt in PROMPTS:
        told, scores = b.answers(prompt, images(2)), b.score(prompt, images(2))
        assert [[text for text, _ in row] for row in told] == [[q.text for q in questions(prompt)]] * 2
        means = [sum(math.log(yes) for _, yes in row) / len(row) if row else UNDECIDED for row in told]
        assert scores == pytest.approx(means)


def test_a_score_does_not_depend_on_the_rest_of_the_batch(b):
    alone = [b.score(PROMPTS[1], image[None])[0] for image in images(3)]
    assert b.score(PROMPTS[1], images(3)) == pytest.approx(alone, abs=1e-4)


def test_the_other_questions_do_not_change_an_answer(b):
    seen = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1
    asked = encode(questions(PROMPTS[2]))[None]
    with torch.no_grad():
        together = b.model(seen, asked)
        alone = torch.cat([b.model(seen, asked[:, [number]]) for number in range(asked.shape[1])], 1)
    assert torch.allclose(together, alone, atol=1e-4)


def test_lessons_are_of_training_scenes_and_as_often_yes_as_no():
    lesson = batch(random.Random(0), 30)
    assert all(held_out(scene) is None for scene in lesson.scenes)
    real = lesson.asked[..., 0] > 0
    assert real.float().mean() > 0.8 and 0.4 < float(lesson.yes[real].mean()) < 0.6
    weight = balance(lesson.asked[..., 0], lesson.yes)
    assert (weight[~real] == 0).all() and (weight[real] > 0).all()


def test_maps_show_the_words_of_every_thing_where_it_is():
    for scene in SCENES:
        grid = shown(scene)
        assert grid.shape == (K, GRID, GRID) and grid[-1].sum() == len(scene.things)
        for thing in scene.things:
            row, column = thing.y * GRID // 128, thing.x * GRID // 128
            there = {MAPPED[index] for index in grid[:-1, row, column].nonzero()[0]}
            assert {thing.noun} <= there <= {thing.noun, thing.colour, thing.pattern, thing.size_name}


def test_maps_are_best_where_they_are_true():
    wanted = torch.from_numpy(np.stack([shown(scene) for scene in SCENES[:4]]))
    assert shown_loss(24 * wanted - 12, wanted) < 0.01 < shown_loss(24 * wanted.flip(1) - 12, wanted)


def test_said_and_true_shares_are_compared():
    yes = torch.tensor([1.0, 1, 1, 0])
    assert calibration_error(torch.full((4,), 0.75), yes) == pytest.approx(0)
    assert calibration_error(torch.full((4,), 0.25), yes) == pytest.approx(0.5)
