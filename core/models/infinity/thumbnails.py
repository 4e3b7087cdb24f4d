"""Thumbnails without a decoder: colours as a linear function of the latent, one pixel per latent position.

Fitted once for each autoencoder, by least squares against what its decoder makes of a model's own latents: of an
autoencoder trained for a minute it so explains 0.78 of the variance of images, fitted on random codes 0.52. Shows
layout and colours of any running sum at a millionth of a decode; texture it cannot show.

Letters: B batch, d latent channels, h w latent size.
"""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from core.models.infinity.vae import Vae, area

CROPS, SIDE, BATCH = 16, 8, 4  # to fit on: 1024 positions for at most 33 unknowns a colour


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
    """The linear map from latents [B, d, h, w] to the means of their images [B, 3, H, W] over each latent position."""
    wanted = area(images.float(), latents.shape[-2:])  # [B, 3, h, w]
    given = torch.cat([latents.float(), torch.ones_like(latents[:, :1]).float()], 1)  # [B, d + 1, h, w]
    rows, colours = (x.cpu().double().permute(0, 2, 3, 1).flatten(0, 2) for x in (given, wanted))
    solution = torch.linalg.lstsq(rows, colours).solution.float()  # [d + 1, 3]
    return Thumbnails(solution[:-1].T.contiguous(), solution[-1])


@torch.no_grad()
def fit_to_decoder(vae: Vae, latents: Tensor) -> Thumbnails:
    """Fitted on what the decoder makes of the latents [B, d, h, w]."""
    parameter = next(vae.decoder.parameters())
    return fit(latents, torch.cat([vae.decode(part.to(parameter)).cpu() for part in latents.split(BATCH)]).to(latents))


def crops(latents: Tensor, count: int = CROPS, side: int = SIDE, seed: int = 0) -> Tensor:
    """Random squares of latents [B, d, h, w], as many of each: [count, d, side, side]. Cheaper to decode than all."""
    generator, found = torch.Generator().manual_seed(seed), []
    for number in range(count):
        top, left = (int(torch.randint(size - side + 1, (), generator=generator)) for size in latents.shape[-2:])
        found.append(latents[number % len(latents), :, top : top + side, left : left + side])
    return torch.stack(found)


def stored(path: Path, vae: Vae, draw: Callable[[], Tensor]) -> Thumbnails:
    """Those kept at `path`; where there are none they are fitted on the latents that `draw` makes, and kept.

    That takes about as long as decoding one image of 512 px, and what `draw` takes.
    """
    kept = _read(path, vae.config.latent_channels)
    if kept is not None:
        return kept
    thumbnails = fit_to_decoder(vae, crops(draw()))
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
