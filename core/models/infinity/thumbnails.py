"""Thumbnails without a decoder: colours as a linear function of the latent, one pixel per latent position.

Fitted once for each autoencoder, by least squares against its decoder. Shows layout and colours of any running sum at
a millionth of a decode; texture it cannot show.

Letters: B batch, d latent channels, h w latent size.
"""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from core.models.infinity.vae import Vae, area, code, upsampled

SCALES = (1, 2, 4, 6, 8)  # sides of the random codes that are summed up, as in an image
COUNT, BATCH = 24, 4  # latents to fit on: 1536 positions for at most 33 unknowns a colour


@dataclass(frozen=True, eq=False)
class Thumbnails:
    """Latent -> colours in [-1, 1]."""

    weight: Tensor  # [3, d]
    bias: Tensor  # [3]

    def __call__(self, latent: Tensor) -> Tensor:
        """[B, d, h, w] -> [B, 3, h, w] fp32."""
        weight, bias = self.weight.to(latent.device), self.bias.to(latent.device)
        return (torch.einsum("cd,bdhw->bchw", weight, latent.float()) + bias[:, None, None]).clamp(-1, 1)

    def flops(self, rows: int, columns: int) -> float:
        """Of one thumbnail."""
        return 2.0 * self.weight.numel() * rows * columns


def fit(latents: Tensor, images: Tensor) -> Thumbnails:
    """The linear map from latents [B, d, h, w] to the means of their images [B, 3, H, W] over each latent position.

    A model's own latents give better colours than random ones: whoever decodes some anyway may fit on them.
    """
    wanted = area(images.float(), latents.shape[-2:])  # [B, 3, h, w]
    given = torch.cat([latents.float(), torch.ones_like(latents[:, :1]).float()], 1)  # [B, d + 1, h, w]
    rows, colours = (x.cpu().double().permute(0, 2, 3, 1).flatten(0, 2) for x in (given, wanted))
    solution = torch.linalg.lstsq(rows, colours).solution.float()  # [d + 1, 3]
    return Thumbnails(solution[:-1].T.contiguous(), solution[-1])


@torch.no_grad()
def fit_on_random(vae: Vae, count: int = COUNT) -> Thumbnails:
    """What can be had before the first image: fitted on the decoder's images of random codes."""
    parameter, latents = next(vae.decoder.parameters()), random_latents(vae.config.latent_channels, count)
    return fit(latents, torch.cat([vae.decode(part.to(parameter)).cpu() for part in latents.split(BATCH)]))


def random_latents(channels: int, count: int = COUNT, seed: int = 0) -> Tensor:
    """Sums of random codes on growing grids, [count, channels, 8, 8]: as varied as images, coarse and fine."""
    generator, total = torch.Generator().manual_seed(seed), torch.zeros(count, channels, SCALES[-1], SCALES[-1])
    for side in SCALES:
        bits = torch.rand(count, channels, side, side, generator=generator) < 0.5
        total = total + upsampled(code(bits), total.shape[-2:])
    return total


def stored(path: Path, vae: Vae) -> Thumbnails:
    """Those kept at `path`; fitted and kept there where there are none, which takes some decodes of 1/64 image."""
    kept = _read(path, vae.config.latent_channels)
    if kept is not None:
        return kept
    thumbnails = fit_on_random(vae)
    _keep(path, thumbnails)
    return thumbnails


def _read(path: Path, channels: int) -> Thumbnails | None:
    try:
        told = json.loads(path.read_text())
        weight, bias = torch.tensor(told["weight"]), torch.tensor(told["bias"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Thumbnails(weight, bias) if weight.shape == (3, channels) and bias.shape == (3,) else None


def _keep(path: Path, thumbnails: Thumbnails) -> None:
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps({"weight": thumbnails.weight.tolist(), "bias": thumbnails.bias.tolist()}))
        os.replace(part, path)
    except OSError:  # only a saving
        with suppress(OSError):
            part.unlink()
