"""FLUX.1: flow matching on latents packed two by two; [schnell] is distilled to few steps, [dev] told its guidance."""

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
    repeated,
    resolution_shift,
)
from core.generators.pipelines.flops import attention_flops, encoder_flops, layer_flops

SCHNELL_WORDS, DEV_WORDS = 256, 512  # tokens to which T5's prompt is padded, as each was trained
WIDTHS = 16  # values a token that a block holds at once, in the network's width


class Flux:
    """The family; see core/generators/pipelines/family.py."""

    pipeline, tiny = "FluxPipeline", "taef1"
    reading, asking = ("text_encoder", "text_encoder_2"), "transformer"

    def __init__(self, pipe: Any, sampling: Sampling):
        self.pipe, self.sampling = pipe, sampling
        self.encoders, self.network = networks(type(self), pipe)
        self.latent = latent_shape(self.network.config.in_channels // 4, sampling.side, pipe.vae_scale_factor, 2)
        self.tokens = self.latent[1] * self.latent[2] // 4
        self.words = DEV_WORDS if self.network.config.guidance_embeds else SCHNELL_WORDS
        mu = resolution_shift(pipe.scheduler.config, self.tokens)
        self.noising = flow_noising(pipe.scheduler, sampling.steps, sigmas=falling_sigmas(sampling.steps), mu=mu)

    def read(self, prompt: str, device: str) -> Read:
        text, pooled, text_places = self.pipe.encode_prompt(
            prompt, None, device=device, max_sequence_length=self.words
        )
        return text, pooled, text_places, self._places().to(text_places)  # [1, T, D], [1, D], [T, 3], [tokens, 3]

    def _places(self) -> Tensor:
        """(0, row, column) of every token [tokens, 3]."""
        _, height, width = self.latent
        return torch.cartesian_prod(torch.arange(1), torch.arange(height // 2), torch.arange(width // 2))

    def direction(self, x: Tensor, step: int, read: Read) -> Tensor:
        text, pooled, text_places, places = read
        count, dtype = len(x), self.network.dtype
        t = torch.full((count,), self.noising.timesteps[step], device=x.device).to(dtype) / 1000
        told = self.network.config.guidance_embeds
        v = self.network(
            hidden_states=packed(x).to(dtype), timestep=t,
            guidance=torch.full((count,), self.sampling.cfg, device=x.device) if told else None,
            encoder_hidden_states=repeated(text, count), pooled_projections=repeated(pooled, count),
            txt_ids=text_places, img_ids=places, return_dict=False,
        )[0]
        return unpacked(v.to(x.dtype), x.shape)

    def step_flops(self) -> float:
        return flux_flops(self.network, self.tokens, self.words)

    def read_flops(self) -> float:
        clip = encoder_flops(self.pipe.text_encoder, self.pipe.tokenizer_max_length)
        return clip + encoder_flops(self.pipe.text_encoder_2, self.words)

    def step_bytes(self) -> int:
        config = self.network.config
        width = config.num_attention_heads * config.attention_head_dim
        return self.network.dtype.itemsize * WIDTHS * width * (self.tokens + self.words)


def packed(x: Tensor) -> Tensor:
    """[B, d, h, w] -> [B, h / 2 * w / 2, 4 d], a square of four a token."""
    return torch.nn.functional.pixel_unshuffle(x, 2).flatten(2).transpose(1, 2)


def unpacked(tokens: Tensor, shape: torch.Size) -> Tensor:
    """The inverse of `packed`, to the shape [B, d, h, w]."""
    _, _, height, width = shape
    squares = tokens.transpose(1, 2).unflatten(2, (height // 2, width // 2))
    return torch.nn.functional.pixel_shuffle(squares, 2)


def flux_flops(transformer: nn.Module, tokens: int, words: int) -> float:
    """FLOPs of one pass for one image: blocks with weights for each kind of token, then blocks with common ones."""
    config, both = transformer.config, tokens + words

    def applied(layer: str) -> int:
        """How often, by its name in the network."""
        if "time_text_embed" in layer or ".norm" in layer or layer.startswith("norm_out"):
            return 1
        if layer.startswith("single_"):
            return both
        text = ("context", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
        return words if any(part in layer for part in text) else tokens

    depth = config.num_layers + config.num_single_layers
    width = config.num_attention_heads * config.attention_head_dim
    return layer_flops(transformer, applied) + depth * attention_flops(both, both, width)
