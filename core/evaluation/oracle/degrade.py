"""Renders made worse in the ways of generated images, for readers to be trained and tested on. The scene stays known.

Own kinds and strengths: verifiers are trained on others (core/training/damage.py).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from core.models.tokenizer import Tokenizer
from core.models.weights import load_weights, weights_file
from core.search.errors import BeamscopeError
from core.world.scene import CANVAS, Scene, Thing


@dataclass(frozen=True)
class Degradation:
    """What happens to one image, in this order. All zero: nothing."""

    coded: bool = False  # encoded and decoded by the tokenizer
    flips: float = 0.0  # share of its bits flipped
    blur: float = 0.0  # px, standard deviation
    noise: float = 0.0  # share of noise in the mixture, as at this time of a flow that is not finished
    half: bool = False  # the noise lies on one side only
    tint: float = 0.0  # contrast and lightness off by up to this share


CLEAN = Degradation()
KINDS = ("clean", "coded", "flipped", "blurred", "noisy", "mixed")
# Readers differ in what they grow up with: the share of each kind.
SHARES = {"a": (15, 35, 20, 5, 10, 15), "b": (12, 30, 25, 8, 10, 15)}


def sample(rng: random.Random, kind: str) -> Degradation:
    """Something of this kind, still readable: of more flipped bits things vanish and others appear."""
    if kind == "clean":
        return CLEAN
    if kind == "coded":
        return Degradation(coded=True)
    if kind == "flipped":
        return Degradation(coded=True, flips=rng.uniform(0.005, 0.03))
    if kind == "blurred":
        return Degradation(blur=rng.uniform(0.5, 2.0))
    if kind == "noisy":
        return Degradation(noise=rng.uniform(0.03, 0.22), half=rng.random() < 0.5)
    return Degradation(True, rng.uniform(0, 0.015), rng.uniform(0, 1.0), rng.uniform(0, 0.1), rng.random() < 0.5, 0.1)


def sample_many(rng: random.Random, count: int, reader: str, coded: bool = True) -> list[Degradation]:
    """What a reader grows up with; without the tokenizer unless `coded`."""
    found = [sample(rng, kind) for kind in rng.choices(KINDS, SHARES[reader], k=count)]
    return found if coded else [replace(one, coded=False) for one in found]


def load_tokenizer() -> Tokenizer | None:
    """The committed tokenizer; None while there is none that fits, and then nothing is coded or flipped."""
    try:
        return load_weights(Tokenizer(), weights_file("tokenizer"))
    except (BeamscopeError, RuntimeError):
        return None


@torch.no_grad()
def degrade(images: Tensor, how: list[Degradation], noise: torch.Generator, tokenizer: Tokenizer | None) -> Tensor:
    """Make images [B, 3, H, H] in [-1, 1] worse, each in its own way."""
    out = images.clone()
    coded = [index for index, one in enumerate(how) if one.coded]
    if coded and tokenizer is not None:
        flips = torch.tensor([how[index].flips for index in coded], device=images.device)
        out[coded] = _coded(out[coded], flips, noise, tokenizer)
    for index, one in enumerate(how):
        if one.blur:
            out[index] = _blurred(out[index], one.blur)
    amount = _column([one.noise for one in how], out)
    if amount.any():
        side = torch.linspace(0, 1, out.shape[-1], device=out.device)
        where = torch.where(_column([one.half for one in how], out) > 0, (side > 0.5).float(), 1.0)
        drawn = torch.randn(out.shape, generator=noise, device=out.device)
        out = out + amount * where * (drawn - out)
    tint = _column([one.tint for one in how], out)
    if tint.any():
        drawn = torch.rand((2, len(out), 1, 1, 1), generator=noise, device=out.device) * 2 - 1
        out = out * (1 + tint * drawn[0]) + tint * drawn[1]
    return out.clamp(-1, 1)


def _column(values: list, like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=like.device)[:, None, None, None]


def _coded(images: Tensor, flips: Tensor, noise: torch.Generator, tokenizer: Tokenizer) -> Tensor:
    bits, _, _ = tokenizer.quantise(tokenizer.encode(images))
    total = 0
    for number, part in enumerate(bits):
        flipped = torch.rand(part.shape, generator=noise, device=part.device) < flips[:, None, None, None]
        total = total + tokenizer.code(part ^ flipped, number)
    return tokenizer.decode(total)


def _blurred(image: Tensor, spread: float) -> Tensor:
    reach = int(3 * spread + 1)
    steps = torch.arange(-reach, reach + 1, device=image.device)
    weights = torch.exp(-(steps**2) / (2 * spread**2))
    weights = (weights / weights.sum()).expand(3, 1, 1, -1)
    padded = F.pad(image[None], (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, weights, groups=3), weights.mT, groups=3)[0]


def overlapped(rng: random.Random, scene: Scene) -> Scene:
    """The scene with one thing moved up to a third over another; for images alone, its relations may not hold."""
    if len(scene.things) < 2:
        return scene
    moving, still = rng.sample(range(len(scene.things)), 2)
    a, b = scene.things[moving], scene.things[still]
    near = rng.uniform(0.68, 0.95) * (a.size + b.size) / 2
    across = rng.uniform(-0.5, 0.5) * b.size
    dx, dy = rng.choice(((near, across), (-near, across), (across, near), (across, -near)))
    moved = replace(a, x=_inside(b.x + dx, a.size), y=_inside(b.y + dy, a.size))
    if any(_covered(moved, other) for index, other in enumerate(scene.things) if index != moving):
        return scene
    return replace(scene, things=(*scene.things[:moving], moved, *scene.things[moving + 1 :]))


def _inside(place: float, size: int) -> int:
    return min(CANVAS - size // 2 - 2, max(size // 2 + 2, round(place)))


def _covered(a: Thing, b: Thing) -> bool:
    """So near that one can hardly be told from two."""
    return max(abs(a.x - b.x), abs(a.y - b.y)) < 0.65 * (a.size + b.size) / 2
