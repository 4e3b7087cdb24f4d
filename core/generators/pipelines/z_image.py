"""Z-Image-Turbo: flow matching on one sequence of image and text, distilled to few steps without guidance."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from core.generators.pipelines.family import (
    Read,
    Sampling,
    falling_sigmas,
    flow_noising,
    latent_shape,
    networks,
    resolution_shift,
)
from core.generators.pipelines.flops import attention_flops, encoder_flops, layer_flops

WORDS = 512  # a prompt is padded to so many tokens before it is encoded
NOMINAL_WORDS = 64  # of a prompt; what it has after the encoder, to the next multiple of MULTIPLE
MULTIPLE = 32  # of either kind of token
WIDTHS = 16  # values a token that a block holds at once, in the network's width


class ZImage:
    """The family; see core/generators/pipelines/family.py."""

    pipeline, tiny = "ZImagePipeline", "taef1"
    reading, asking = ("text_encoder",), "transformer"

    def __init__(self, pipe: Any, sampling: Sampling):
        self.pipe, self.sampling = pipe, sampling
        self.encoders, self.network = networks(type(self), pipe)
        self.latent = latent_shape(self.network.in_channels, sampling.side, pipe.vae_scale_factor, 2)
        self.tokens = self.latent[1] * self.latent[2] // 4
        mu = resolution_shift(pipe.scheduler.config, self.tokens)
        self.noising = flow_noising(pipe.scheduler, sampling.steps, sigmas=falling_sigmas(sampling.steps), mu=mu)

    def read(self, prompt: str, device: str) -> Read:
        return tuple(self.pipe.encode_prompt(prompt, device, do_classifier_free_guidance=False)[0])  # [T, D]

    def direction(self, x: Tensor, step: int, read: Read) -> Tensor:
        [text] = read
        t = torch.full((len(x),), 1 - self.noising.timesteps[step] / 1000, device=x.device)
        images = list(x.to(self.network.dtype).unsqueeze(2))  # [d, 1, h, w]: one frame each
        v = self.network(images, t, [text] * len(x), return_dict=False)[0]
        return -torch.stack(v).squeeze(2).to(x.dtype)  # it points from noise to image

    def step_flops(self) -> float:
        return z_image_flops(self.network, self.tokens, NOMINAL_WORDS)

    def read_flops(self) -> float:
        return encoder_flops(self.pipe.text_encoder, WORDS)

    def step_bytes(self) -> int:
        return self.network.dtype.itemsize * WIDTHS * self.network.dim * (self.tokens + NOMINAL_WORDS)


def z_image_flops(transformer: nn.Module, tokens: int, words: int) -> float:
    """FLOPs of one pass for one image: a few blocks for each kind of token, then all tokens together."""
    tokens, words = -(-tokens // MULTIPLE) * MULTIPLE, -(-words // MULTIPLE) * MULTIPLE
    both, width = tokens + words, transformer.dim

    def applied(layer: str) -> int:
        if "adaLN_modulation" in layer or layer.startswith("t_embedder"):
            return 1
        if layer.startswith(("cap_embedder", "context_refiner")):
            return words
        return tokens if layer.startswith(("all_x_embedder", "noise_refiner")) else both

    stages = ((transformer.layers, both), (transformer.noise_refiner, tokens), (transformer.context_refiner, words))
    attention = sum(len(blocks) * attention_flops(length, length, width) for blocks, length in stages)
    return layer_flops(transformer, applied) + attention
