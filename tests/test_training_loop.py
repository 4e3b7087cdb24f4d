"""Laws of the loop that all trainers share."""

import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from core.models.tokenizer import Tokenizer, TokenizerConfig
from core.training import tokenizer
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
    before = float(loss(model, batch(random.Random(1), 64), None)[0].detach())
    opt = Options("watched", minutes=0.02, batch=32, lr=3e-2, half=half)
    averaged, progress = train(model, batch, loss, opt)
    after = float(loss(averaged, batch(random.Random(1), 64), None)[0])
    assert progress.step > 10 and after < before / 4
    assert seen[1] is (torch.bfloat16 if half else torch.float32)
    assert {p.dtype for p in averaged.parameters()} == {torch.float32}


@pytest.mark.parametrize("half", [0, 1])
def test_a_decoder_that_learns_on_leaves_every_bit_as_it_is(half, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("BEAMSCOPE_CACHE", str(tmp_path))
    torch.manual_seed(0)
    images = torch.rand(4, 3, 128, 128) * 2 - 1
    monkeypatch.setattr(tokenizer, "compose", lambda scenes, atlas: images)
    monkeypatch.setattr(tokenizer, "atlas_on", lambda device: None)
    model = Tokenizer(TokenizerConfig(widths=(16, 16, 16))).eval()
    bits = [part.clone() for part in model.quantise(model.encode(images))[0]]
    drawn = model.decode(model.quantise(model.encode(images))[1][-1]).detach()
    tokenizer.decoder_alone(model)
    opt = Options("decoder", minutes=0.02, batch=4, lr=1e-2, half=half)
    averaged, progress = train(model, tokenizer.batch, tokenizer.loss, opt, parts=lambda m: (m.encoder, m.decoder))
    after = averaged.quantise(averaged.encode(images))
    assert progress.step > 1 and all(map(torch.equal, bits, after[0]))
    assert not torch.equal(drawn, averaged.decode(after[1][-1]))


class Pupil(nn.Module):
    """What is kept and the head of an auxiliary task."""

    def __init__(self):
        super().__init__()
        self.kept, self.head = nn.Linear(8, 1), nn.Linear(8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.kept(x) + self.head(x)


def started(opt: Options) -> Pupil:
    """A pupil as it is before its first step."""
    return train(Pupil(), batch, loss, opt, kept=lambda pupil: pupil.kept)[0]


def test_a_warm_start_begins_with_what_the_file_holds_and_leaves_the_rest(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("BEAMSCOPE_CACHE", str(tmp_path))
    file = tmp_path / "kept.safetensors"
    held = nn.Linear(8, 1).half().state_dict()
    save_file(held, file)
    torch.manual_seed(0)
    warm = started(Options("warm", minutes=1e-9, batch=4, lr=0.0, initial=file))
    torch.manual_seed(0)
    cold = started(Options("cold", minutes=1e-9, batch=4, lr=0.0))
    assert all(torch.equal(held[key].float(), value) for key, value in warm.kept.state_dict().items())
    assert not torch.equal(warm.kept.weight, cold.kept.weight)
    assert torch.equal(warm.head.weight, cold.head.weight)


@pytest.mark.parametrize("what", ["nothing", "no safetensors", "another model"])
def test_a_warm_start_from_what_is_no_such_file_says_what_is_allowed(what, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("BEAMSCOPE_CACHE", str(tmp_path))
    file = tmp_path / "some.safetensors"
    if what == "no safetensors":
        file.write_bytes(b"weights")
    if what == "another model":
        save_file(nn.Linear(3, 1).state_dict(), file)
    with pytest.raises(SystemExit, match="some.safetensors.*Allowed.*begin with random weights"):
        started(Options("warm", minutes=1e-9, batch=4, lr=0.0, initial=file))
