"""`emoji-flow` and `emoji-flow-sde`: the embedded flow model as a generator, with and without fresh noise a step.

Letters: B candidates, d channels, h latent side.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.generators.diffusion import DiffusionSampler, Noising, NoisyState
from core.generators.emoji_ar import BLOCK_WIDTHS, DECODE_BYTES, DECODE_FLOPS, load_tokenizer
from core.generators.looks import signature
from core.models.flow import Flow, FlowConfig
from core.models.memory import weights_bytes
from core.models.text import NOMINAL_WORDS, tokenise
from core.models.tokenizer import Tokenizer
from core.models.weights import load_config, load_weights, to_images, weights_file
from core.search.budget import Cost


@dataclass(frozen=True)
class Sampling:
    """How a latent is drawn. The best of the trials in assets/results/tune.json."""

    steps: int = 8  # forward passes
    cfg: float = 4.0  # guidance scale
    shift: float = 4.0  # > 1 spends more steps at high noise: t -> shift t / (1 + (shift - 1) t)
    eta: float = 0.0  # share of fresh noise; 0 is the ODE

    def noising(self) -> Noising:
        """The `steps` times at which the model is asked, from 1 down to above 0: there x = (1 - t) x0 + t noise."""
        even = [1 - step / self.steps for step in range(self.steps)]
        times = [self.shift * t / (1 + (self.shift - 1) * t) for t in even]
        return Noising(tuple(times), tuple(1 - t for t in times), tuple(1000 * t for t in times))


class EmojiFlow(DiffusionSampler):
    """The generator; see core/generators/base.py for the contract."""

    decode_cost = Cost(flops_decoder=DECODE_FLOPS, decodes=1)
    decode_bytes = DECODE_BYTES
    max_batch = 8  # 48 ms for a step, 35 ms to decode on two cores; more at once is no quicker

    def __init__(self, name: str, model: Flow, tokenizer: Tokenizer, sampling: Sampling):
        super().__init__(name, sampling.noising(), sampling.eta)
        self.model, self.tokenizer, self.sampling = model, tokenizer, sampling
        self.start_cost = Cost(flops_generator=2 * model.text_flops(NOMINAL_WORDS))
        self.weights_bytes = weights_bytes(model, tokenizer)

    @torch.no_grad()
    def start(self, prompt: str) -> NoisyState:
        return NoisyState(self.model.read(tokenise([prompt, ""])))

    def step_cost(self, step: int) -> Cost:
        guided = 2 * self.model.step_flops(NOMINAL_WORDS)
        return Cost(nfe=1, tokens=self.model.config.side**2, flops_generator=guided)

    def noise(self, seed: int) -> Tensor:
        side = self.model.config.side
        shape = (self.model.config.channels, side, side)
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed))

    def predicted(self, x: Sequence[Tensor], step: int, read: tuple) -> list[Tensor]:
        count, (pooled, text_kv, mask) = len(x), read
        text_kv = tuple(tuple(part.repeat_interleave(count, 0) for part in pair) for pair in text_kv)
        both = (pooled.repeat_interleave(count, 0), text_kv, mask.repeat_interleave(count, 0))
        t = torch.full((2 * count,), self.noising.sigmas[step])
        prompt, empty = self.model.predict(torch.stack(list(x)).repeat(2, 1, 1, 1), t, both).chunk(2)
        return [image.clone() for image in empty + self.sampling.cfg * (prompt - empty)]

    @torch.no_grad()
    def preview(self, states: Sequence[NoisyState]) -> np.ndarray:
        return to_images(self.tokenizer.decode(torch.stack([self.image_latent(state) for state in states])))

    @torch.no_grad()
    def signature(self, states: Sequence[NoisyState]) -> list[list[float]]:
        return signature(torch.stack([self.image_latent(state) for state in states]))

    def image_latent(self, state: NoisyState) -> Tensor:
        """The predicted image in the tokenizer's units, [d, h, h]."""
        return state.x0_hat * self.model.latent_std

    def step_bytes(self, step: int) -> int:
        """The text's keys and values and what a block computes, for both guided halves."""
        config = self.model.config
        return 8 * config.width * (2 * config.depth * NOMINAL_WORDS + BLOCK_WIDTHS * config.side**2)


def _load(name: str, sampling: Sampling) -> EmojiFlow:
    path = weights_file("flow")
    model = load_weights(Flow(FlowConfig(**load_config(path))), path)
    return EmojiFlow(name, model, load_tokenizer(), sampling)


def load() -> EmojiFlow:
    """The committed model with the ODE sampler. Raises WeightsMissing."""
    return _load("emoji-flow", Sampling())


def load_sde() -> EmojiFlow:
    """The committed model with the SDE sampler. Raises WeightsMissing."""
    return _load("emoji-flow-sde", Sampling(eta=0.8))
