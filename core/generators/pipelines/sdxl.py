"""Stable Diffusion XL: a U-Net that predicts the noise, with classifier-free guidance (Podell et al. 2023)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from core.generators.diffusion import Noising
from core.generators.pipelines.family import Read, Sampling, guided, halves, latent_shape, networks, repeated
from core.generators.pipelines.flops import attention_flops, encoder_flops, layer_flops

MAPS = 16  # feature maps at full size, as wide as the first level, that a pass holds at once


class StableDiffusionXL:
    """The family; see core/generators/pipelines/family.py."""

    pipeline, tiny = "StableDiffusionXLPipeline", "taesdxl"
    reading, asking = ("text_encoder", "text_encoder_2"), "unet"

    def __init__(self, pipe: Any, sampling: Sampling):
        if (kind := pipe.scheduler.config.prediction_type) != "epsilon":
            raise ValueError(f"this checkpoint predicts {kind!r}: only those that predict the noise are understood")
        self.pipe, self.sampling = pipe, sampling
        self.encoders, self.network = networks(type(self), pipe)
        self.latent = latent_shape(self.network.config.in_channels, sampling.side, pipe.vae_scale_factor)
        self.halves = halves(sampling.cfg)
        self.tokens = self.latent[1] * self.latent[2]
        self.noising = exploding_noising(pipe.scheduler, sampling.steps)

    def read(self, prompt: str, device: str) -> Read:
        both = self.halves == 2
        text, no_text, pooled, no_pooled = self.pipe.encode_prompt(
            prompt, device=device, do_classifier_free_guidance=both
        )
        side = self.sampling.side
        sizes = torch.tensor([[side, side, 0, 0, side, side]] * self.halves, dtype=text.dtype, device=text.device)
        if both:
            text, pooled = torch.cat([no_text, text]), torch.cat([no_pooled, pooled])
        return text, pooled, sizes  # [G, T, D], [G, D], [G, 6]

    def direction(self, x: Tensor, step: int, read: Read) -> Tensor:
        text, pooled, sizes = (repeated(part, len(x)) for part in read)
        sigma = self.noising.sigmas[step]
        seen = (x / (sigma**2 + 1) ** 0.5).to(self.network.dtype)
        noise = self.network(
            seen.repeat(self.halves, 1, 1, 1), torch.tensor(self.noising.timesteps[step], device=x.device),
            encoder_hidden_states=text, added_cond_kwargs={"text_embeds": pooled, "time_ids": sizes},
            return_dict=False,
        )[0]
        return guided(noise.to(x.dtype), self.sampling.cfg)

    def step_flops(self) -> float:
        _, height, width = self.latent
        return self.halves * unet_flops(self.network, height, width, self.pipe.tokenizer_2.model_max_length)

    def read_flops(self) -> float:
        pipe = self.pipe
        pairs = ((pipe.text_encoder, pipe.tokenizer), (pipe.text_encoder_2, pipe.tokenizer_2))
        once = sum(encoder_flops(encoder, tokens.model_max_length) for encoder, tokens in pairs if encoder is not None)
        return once * (1 if pipe.config.force_zeros_for_empty_prompt else self.halves)

    def step_bytes(self) -> int:
        values = MAPS * self.network.config.block_out_channels[0] * self.tokens
        return self.halves * self.network.dtype.itemsize * values


def exploding_noising(scheduler: Any, steps: int) -> Noising:
    """Euler's noise levels whatever scheduler the checkpoint came with: the image stays, the noise grows."""
    from diffusers import EulerDiscreteScheduler

    own = EulerDiscreteScheduler.from_config(scheduler.config)
    own.set_timesteps(steps)
    return Noising(
        tuple(own.sigmas[:-1].tolist()), (1.0,) * steps, tuple(own.timesteps.tolist()), float(own.init_noise_sigma)
    )


def unet_flops(unet: nn.Module, height: int, width: int, words: int) -> float:
    """FLOPs of one pass for one latent of this height and width."""
    pixels = height * width
    ends = layer_flops(unet.conv_in, lambda _: pixels) + layer_flops(unet.conv_out, lambda _: pixels)
    flops = ends + layer_flops(unet.time_embedding, lambda _: 1) + layer_flops(unet.add_embedding, lambda _: 1)
    for block in unet.down_blocks:
        after = pixels // 4 if block.downsamplers else pixels
        flops, pixels = flops + _block_flops(block, pixels, after, words), after
    flops += _block_flops(unet.mid_block, pixels, pixels, words)
    for block in unet.up_blocks:
        after = pixels * 4 if block.upsamplers else pixels
        flops, pixels = flops + _block_flops(block, pixels, after, words), after
    return flops


def _block_flops(block: nn.Module, pixels: int, after: int, words: int) -> float:
    """Of one level: at `pixels` positions, its last convolution at `after`, and the text's keys and values."""

    def applied(layer: str) -> int:
        if "time_emb_proj" in layer:
            return 1
        if "samplers" in layer:
            return after
        return words if "attn2.to_k" in layer or "attn2.to_v" in layer else pixels

    widths = [layer.attn1.to_q.out_features for layer in block.modules() if hasattr(layer, "attn1")]
    attention = sum(attention_flops(pixels, pixels + words, width) for width in widths)
    return layer_flops(block, applied) + attention
