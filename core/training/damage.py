"""Damaged images for training and testing verifiers: previews, round trips, flipped bits, blur and noise.

A search shows its verifiers unfinished and imperfect pictures, so they are trained on them.
"""

import random
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from core.models.tokenizer import SCALES, Tokenizer


@dataclass(frozen=True)
class Damage:
    """What happens to one image."""

    scales: int = 0  # decoded from this many scales of the tokenizer; 0: not encoded at all
    flips: float = 0.0  # share of its bits flipped
    blur: int = 1  # shrunk by this factor and enlarged again
    grain: float = 0.0  # standard deviation of added noise, images being in [-1, 1]


CLEAN = Damage()
FULL = Damage(scales=len(SCALES))


def sample_damage(rng: random.Random, coded: float = 0.52) -> Damage:
    """A share `coded` through the tokenizer (all scales, later ones more often), an eighth blurred or noisy."""
    kind = rng.random()
    if kind < 0.87 - coded:
        return CLEAN
    if kind < 0.87:
        scales = rng.choices(range(1, len(SCALES) + 1), (5, 9, 19, 21, 20, 26))[0]
        return Damage(scales, rng.uniform(0, 0.12) if rng.random() < 0.4 else 0.0)
    return Damage(blur=rng.choice((1, 2, 3, 4)), grain=rng.uniform(0.02, 0.2) if rng.random() < 0.6 else 0.0)


def worse(rng: random.Random, damage: Damage) -> Damage:
    """More damage of the same sort."""
    if damage.scales:
        return replace(damage, scales=max(1, damage.scales - rng.choice((1, 2))), flips=damage.flips + 0.03)
    return replace(damage, blur=damage.blur + rng.choice((2, 3)), grain=damage.grain + 0.05)


@torch.no_grad()
def apply(tokenizer: Tokenizer, images: Tensor, damages: list[Damage], noise: torch.Generator) -> Tensor:
    """Damage images [B, 3, H, H] in [-1, 1], each in its own way."""
    out = images.clone()
    through = [index for index, damage in enumerate(damages) if damage.scales]
    if through:
        out[through] = _round_trip(tokenizer, images[through], [damages[index] for index in through], noise)
    for index, damage in enumerate(damages):
        if damage.blur > 1:
            out[index] = _blur(out[index : index + 1], damage.blur)[0]
        if damage.grain:
            out[index] += damage.grain * torch.randn(out[index].shape, generator=noise, device=out.device)
    return out.clamp(-1, 1)


def _round_trip(tokenizer: Tokenizer, images: Tensor, damages: list[Damage], noise: torch.Generator) -> Tensor:
    bits, _, _ = tokenizer.quantise(tokenizer.encode(images.contiguous(memory_format=torch.channels_last)))
    last = torch.tensor([damage.scales for damage in damages], device=images.device)
    rate = torch.tensor([damage.flips for damage in damages], device=images.device)[:, None, None, None]
    total = 0
    for number, part in enumerate(bits):
        flipped = part ^ (torch.rand(part.shape, generator=noise, device=images.device) < rate)
        total = total + tokenizer.code(flipped, number) * (number < last)[:, None, None, None]
    return tokenizer.decode(total.contiguous(memory_format=torch.channels_last))


def _blur(images: Tensor, factor: int) -> Tensor:
    small = F.interpolate(images, scale_factor=1 / factor, mode="area")
    return F.interpolate(small, size=images.shape[-2:], mode="bicubic").clamp(-1, 1)
