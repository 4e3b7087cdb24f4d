"""Stable Diffusion 3 and 3.5: flow matching with classifier-free guidance (Esser et al. 2024)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from core.generators.pipelines.family import (
    Read,
    Sampling,
    flow_noising,
    guided,
    halves,
    latent_shape,
    networks,
    repeated,
    resolution_shift,
)
from core.generators.pipelines.flops import attention_flops, encoder_flops, layer_flops

T5_WORDS = 256  # tokens to which T5's prompt is padded; the encoder may be left out, its place is kept
WIDTHS = 13  # values a token that a block holds at once, in the network's width


class StableDiffusion3:
    """The family; see core/generators/pipelines/family.py."""

    pipeline, tiny = "StableDiffusion3Pipeline", "taesd3"
    reading, asking = ("text_encoder", "text_encoder_2", "text_encoder_3"), "transformer"

    def __init__(self, pipe: Any, sampling: Sampling):
        self.pipe, self.sampling = pipe, sampling
        self.encoders, self.network = networks(type(self), pipe)
        config = self.network.config
        self.latent = latent_shape(config.in_channels, sampling.side, pipe.vae_scale_factor, config.patch_size)
        self.halves = halves(sampling.cfg)
        self.tokens = self.latent[1] * self.latent[2] // config.patch_size**2
        scheduler = pipe.scheduler
        dynamic = scheduler.config.get("use_dynamic_shifting")
        settings = {"mu": resolution_shift(scheduler.config, self.tokens, 1.16)} if dynamic else {}
        self.noising = flow_noising(scheduler, sampling.steps, **settings)

    def read(self, prompt: str, device: str) -> Read:
        both = self.halves == 2
        text, no_text, pooled, no_pooled = self.pipe.encode_prompt(
            prompt, None, None, device=device, do_classifier_free_guidance=both, max_sequence_length=T5_WORDS
        )
        if both:
            text, pooled = torch.cat([no_text, text]), torch.cat([no_pooled, pooled])
        return text, pooled  # [G, T, D], [G, D]

    def direction(self, x: Tensor, step: int, read: Read) -> Tensor:
        text, pooled = (repeated(part, len(x)) for part in read)
        v = self.network(
            hidden_states=x.to(self.network.dtype).repeat(self.halves, 1, 1, 1), encoder_hidden_states=text,
            pooled_projections=pooled, return_dict=False,
            timestep=torch.full((self.halves * len(x),), self.noising.timesteps[step], device=x.device),
        )[0]
        return guided(v.to(x.dtype), self.sampling.cfg)

    def step_flops(self) -> float:
        words = self.pipe.tokenizer_max_length + T5_WORDS
        return self.halves * sd3_flops(self.network, self.tokens, words)

    def read_flops(self) -> float:
        pipe, words = self.pipe, self.pipe.tokenizer_max_length
        clip = encoder_flops(pipe.text_encoder, words) + encoder_flops(pipe.text_encoder_2, words)
        return self.halves * (clip + encoder_flops(pipe.text_encoder_3, T5_WORDS))

    def step_bytes(self) -> int:
        tokens = self.tokens + self.pipe.tokenizer_max_length + T5_WORDS
        return self.halves * self.network.dtype.itemsize * WIDTHS * self.network.inner_dim * tokens


def sd3_flops(transformer: nn.Module, tokens: int, words: int) -> float:
    """FLOPs of one pass for one image: blocks with weights for each kind of token, some with a second attention."""
    both, width = tokens + words, transformer.inner_dim

    def applied(layer: str) -> int:
        if "time_text_embed" in layer or ".norm" in layer or layer.startswith("norm_out"):
            return 1
        text = ("context", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
        return words if any(part in layer for part in text) else tokens

    second = sum(block.use_dual_attention for block in transformer.transformer_blocks)
    joint = len(transformer.transformer_blocks) * attention_flops(both, both, width)
    return layer_flops(transformer, applied) + joint + second * attention_flops(tokens, tokens, width)
