"""Bits of tokens <-> the latent: residual codes that are summed up scale by scale, and what the next scale reads.

A state's bits are kept token by token, [n, dt]; the latent is a picture, [d, H, W]. With patches a token holds the
bits of 2 x 2 latent positions.

Letters: B batch, n tokens, dt bits a token, d latent channels, h w grid of a scale, H W final latent grid.
"""

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core.models.infinity.schedule import Schedule


def spread(tokens: Tensor, schedule: Schedule, scale: int) -> Tensor:
    """Tokens [B, n, dt] -> the scale's picture [B, d, h, w], patches laid out."""
    picture = tokens.transpose(1, 2).unflatten(2, schedule.grids[scale])
    return F.pixel_shuffle(picture, schedule.patch) if schedule.patch > 1 else picture


def gather(picture: Tensor, schedule: Schedule) -> Tensor:
    """The scale's picture [B, d, h, w] -> tokens [B, n, dt]; undoes `spread`."""
    patches = F.pixel_unshuffle(picture, schedule.patch) if schedule.patch > 1 else picture
    return patches.flatten(2).transpose(1, 2)


def resize(picture: Tensor, grid: tuple[int, int]) -> Tensor:
    """Bilinear both ways, without anti-aliasing: what the transformer was trained with.

    As one frame of a film with channels last, so that sums are rounded as the official model's; Apple's devices know
    no films.
    """
    if picture.shape[-2:] == grid:
        return picture
    if picture.device.type == "mps":
        return F.interpolate(picture, grid, mode="bilinear")
    film = picture.contiguous(memory_format=torch.channels_last)[:, :, None]
    return F.interpolate(film, (1, *grid), mode="trilinear")[:, :, 0]


def code(bits: Tensor, schedule: Schedule, scale: int) -> Tensor:
    """What bits [B, n, dt] of a scale add to the latent, [B, d, H, W]: unit vectors with equal sides, enlarged."""
    picture = spread(bits.float(), schedule, scale)
    return resize((2 * picture - 1) * _side(picture.shape[1]), schedule.latent())


@lru_cache
def _side(channels: int) -> float:
    """Of a unit vector with equal sides, rounded as the official model's: normalised once more in fp32."""
    return float(F.normalize(torch.full((channels,), channels**-0.5), dim=0)[0])


def next_input(total: Tensor, schedule: Schedule, scale: int) -> Tensor:
    """The running sum [B, d, H, W] as the tokens that `scale` reads, [B, n, dt]."""
    return gather(resize(total, schedule.latent(scale)), schedule)


def pack(bits: list[Tensor]) -> bytes:
    """Bits of all scales, eight a byte."""
    flat = [one.flatten() for one in bits]
    return np.packbits(torch.cat(flat).cpu().numpy()).tobytes() if flat else b""


def unpack(data: bytes, schedule: Schedule, width: int, scales: int) -> list[Tensor]:
    """The first `scales` scales' bits [n, dt] of tokens of `width` bits. Raises ValueError if `data` is not theirs."""
    sizes = [width * tokens for tokens in schedule.tokens[:scales]]
    if scales > len(schedule.tokens) or len(data) != (sum(sizes) + 7) // 8:
        raise ValueError(f"{len(data)} bytes do not hold {scales} scales")
    flat = torch.from_numpy(np.unpackbits(np.frombuffer(data, np.uint8))).bool()
    return [part.view(-1, width) for part in flat[: sum(sizes)].split(sizes)]
