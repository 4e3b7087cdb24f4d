"""Signatures: a few numbers a latent, near for latents that look alike."""

from functools import lru_cache

import torch
from torch import Tensor

NUMBERS = 64


def signature(latents: Tensor) -> list[list[float]]:
    """A fixed random projection of latents [B, d, h, h]: distances survive it (Johnson and Lindenstrauss 1984)."""
    flat = latents.flatten(1)
    return (flat @ _projection(flat.shape[1])).tolist()


@lru_cache(maxsize=4)
def _projection(length: int) -> Tensor:
    return torch.randn(length, NUMBERS, generator=torch.Generator().manual_seed(0)) / NUMBERS**0.5
