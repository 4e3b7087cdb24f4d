"""What the adapter needs of one kind of pipeline, and the noise levels that its scheduler prescribes.

Schedulers keep the place in their schedule, so that two paths through the steps cannot share one: only their
numbers are taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from core.generators.diffusion import Noising

Read = tuple[Tensor, ...]  # what a pipeline read of a prompt


@dataclass(frozen=True)
class Sampling:
    """How an image is drawn."""

    steps: int
    cfg: float = 0.0  # guidance scale; what it means is the family's
    eta: float = 0.0  # share of fresh noise a step; 0 is the ODE
    side: int = 1024  # pixels of an image


class Family(Protocol):
    """How to call the parts of a pipeline.

    Letters: B candidates, G guided halves (1, or 2 with classifier-free guidance), d channels, h and w of a latent.
    """

    pipeline: str  # its class in diffusers
    tiny: str  # package of the small decoder for its latents
    reading: tuple[str, ...]  # the pipeline's networks that read the prompt; it may do without some
    asking: str  # the one that is asked at every step
    sampling: Sampling
    encoders: tuple[nn.Module, ...]
    network: nn.Module
    latent: tuple[int, int, int]  # d, h, w
    tokens: int  # of the image
    noising: Noising

    def read(self, prompt: str, device: str) -> Read:
        """What the network wants to know of the prompt, once for all candidates and steps."""

    def direction(self, x: Tensor, step: int, read: Read) -> Tensor:
        """The guided prediction for x [B, d, h, w] at `step`, as exact as x: x - sigma * direction is the image."""

    def step_flops(self) -> float:
        """Of one prediction, guidance included."""

    def read_flops(self) -> float:
        """Of read()."""

    def step_bytes(self) -> int:
        """Working memory of one prediction for one candidate, guidance included."""


def flow_noising(scheduler: Any, steps: int, **settings: Any) -> Noising:
    """Of a FlowMatchEulerDiscreteScheduler, to whose schedule `settings` (sigmas, mu) go as its pipeline gives them."""
    own = type(scheduler).from_config(scheduler.config)
    own.set_timesteps(**({} if "sigmas" in settings else {"num_inference_steps": steps}), **settings)
    sigmas = own.sigmas[:-1].tolist()
    return Noising(tuple(sigmas), tuple(1 - sigma for sigma in sigmas), tuple(own.timesteps.tolist()))


def falling_sigmas(steps: int) -> list[float]:
    """From 1 to 1 / steps, evenly, before the scheduler shifts them."""
    return torch.linspace(1.0, 1 / steps, steps, dtype=torch.float64).tolist()


def resolution_shift(config: Any, tokens: int, highest: float = 1.15) -> float:
    """mu: larger images need more noise to be hidden as well, linearly in their tokens (Esser et al. 2024, 5.3.2)."""
    few, many = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    low, high = config.get("base_shift", 0.5), config.get("max_shift", highest)
    return low + (high - low) * (tokens - few) / (many - few)


def latent_shape(channels: int, side: int, factor: int, patch: int = 1) -> tuple[int, int, int]:
    """Of an image of side x side pixels. Raises ValueError if it does not come out even."""
    if side % (factor * patch):
        raise ValueError(f"an image of {side} pixels cannot be made: its side is a multiple of {factor * patch}")
    return channels, side // factor, side // factor


def networks(family: type[Family], pipe: Any) -> tuple[tuple[nn.Module, ...], nn.Module]:
    """The encoders and the network that is asked."""
    encoders = (getattr(pipe, name) for name in family.reading)
    return tuple(encoder for encoder in encoders if encoder is not None), getattr(pipe, family.asking)


def repeated(part: Tensor, count: int) -> Tensor:
    """What was read [G, ...] for `count` candidates: [G * count, ...], half after half."""
    return part.repeat_interleave(count, 0)


def halves(cfg: float) -> int:
    """G of a model with classifier-free guidance (Ho & Salimans 2022): the pass without a prompt may be needless."""
    return 2 if cfg > 1 else 1


def guided(output: Tensor, cfg: float) -> Tensor:
    """The guided prediction of an output [G * B, ...] whose first half of two knows no prompt."""
    if halves(cfg) == 1:
        return output
    empty, prompt = output.chunk(2)
    return empty + cfg * (prompt - empty)
