"""From a latent to pixels: in full for finished images, by a small network of its own for previews.

Small decoders (TAESD, Bohan 2023) were distilled from the full ones: a hundredth of their cost, and near enough to
judge an unfinished image by. Where none is at hand the full one makes the previews too.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from core.generators.pipelines.flops import decoder_bytes, decoder_flops, tiny_decoder_bytes, tiny_decoder_flops

Shape = tuple[int, int, int]  # d, h, w of a latent


class Pictures(Protocol):
    """One decoder. Pixels are about [-1, 1]."""

    network: nn.Module

    def pixels(self, latents: Tensor) -> Tensor:
        """[B, d, h, w] as the sampler has them -> float32 [B, 3, H, W]."""

    def flops(self, latent: Shape) -> float:
        """Of one image."""

    def bytes(self, latent: Shape) -> int:
        """Working memory of one image."""


class FullPictures:
    """The pipeline's own autoencoder (AutoencoderKL)."""

    def __init__(self, network: nn.Module):
        self.network = network

    def pixels(self, latents: Tensor) -> Tensor:
        config = self.network.config
        unscaled = latents / config.scaling_factor + (config.shift_factor or 0.0)
        return self.network.decode(unscaled.to(self.network.dtype), return_dict=False)[0].float()

    def flops(self, latent: Shape) -> float:
        return decoder_flops(self.network, *latent[1:])

    def bytes(self, latent: Shape) -> int:
        return decoder_bytes(self.network, *latent[1:])


class TinyPictures:
    """A small decoder (AutoencoderTiny), made for the latents as the sampler has them."""

    def __init__(self, network: nn.Module):
        self.network = network

    def pixels(self, latents: Tensor) -> Tensor:
        return self.network.decode(latents.to(self.network.dtype), return_dict=False)[0].float()

    def flops(self, latent: Shape) -> float:
        return tiny_decoder_flops(self.network, *latent[1:])

    def bytes(self, latent: Shape) -> int:
        return tiny_decoder_bytes(self.network, *latent[1:])
