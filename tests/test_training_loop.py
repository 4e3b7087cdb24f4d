"""Laws of the loop that all trainers share."""

import random
from pathlib import Path

import pytest
import torch
from torch import nn

from core.training.loop import Options, train


def batch(rng: random.Random, size: int) -> torch.Tensor:
    return torch.tensor([[rng.gauss(0, 1) for _ in range(8)] for _ in range(size)])


def loss(model: nn.Module, data: torch.Tensor, noise: torch.Generator):
    answers = model(data)
    assert answers.dtype == torch.float32
    error = (answers - data.sum(1, keepdim=True)).square().mean()
    return error, {}


@pytest.mark.parametrize("half", [0, 1])
def test_a_training_learns_at_either_precision_and_keeps_its_weights_whole(half, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("BEAMSCOPE_CACHE", str(tmp_path))
    torch.manual_seed(0)
    seen = []

    class Watched(nn.Linear):
        def forward(self, x):
            answers = super().forward(x)
            seen.append(answers.dtype)
            return answers

    model = Watched(8, 1)
    before = float(loss(model, batch(random.Random(1), 64), None)[0])
    opt = Options("watched", minutes=0.02, batch=32, lr=3e-2, half=half)
    averaged, progress = train(model, batch, loss, opt)
    after = float(loss(averaged, batch(random.Random(1), 64), None)[0])
    assert progress.step > 10 and after < before / 4
    assert seen[1] is (torch.bfloat16 if half else torch.float32)
    assert {p.dtype for p in averaged.parameters()} == {torch.float32}
