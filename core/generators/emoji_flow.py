"""`emoji-flow` and `emoji-flow-sde`: the embedded flow model as a generator. One step is one time of the sampler.

Step 0 draws the noise; every later step moves the latent to its time along the last prediction. Each then predicts the
image from there, one guided forward pass a candidate: that prediction is the preview, and after the last step the
image. The ODE sampler is Euler's (DDIM with eta 0) and branches at step 0 only; the SDE sampler replaces a share `eta`
of the predicted noise by fresh noise (Song et al. 2021, eq. 12) and branches at every step.

Letters: B candidates, d channels, h latent side.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.generators.emoji_ar import DECODE_FLOPS, load_tokenizer
from core.models.flow import Flow, FlowConfig
from core.models.text import NOMINAL_WORDS, tokenise
from core.models.tokenizer import Tokenizer
from core.models.weights import load_config, load_weights, to_images, weights_file
from core.search.budget import Cost


@dataclass(frozen=True)
class Sampling:
    """How a latent is drawn. The best of the trials in assets/results/tune.json."""

    steps: int = 12  # forward passes
    cfg: float = 1.5  # guidance scale
    shift: float = 2.0  # > 1 spends more steps at high noise: t -> shift t / (1 + (shift - 1) t)
    eta: float = 0.0  # share of fresh noise; 0 is the ODE

    def times(self) -> list[float]:
        """The `steps` times at which the model is asked, from 1 down to above 0."""
        even = [1 - step / self.steps for step in range(self.steps)]
        return [self.shift * t / (1 + (self.shift - 1) * t) for t in even]


@dataclass(frozen=True, eq=False)
class FlowState:
    """A noisy latent, the image predicted from it, and the seeds that made them."""

    read: tuple  # what the model read of [prompt, empty prompt]; one object for the whole run
    seeds: tuple[int, ...] = ()  # one per step taken
    x: Tensor | None = None  # [d, h, h], after step 0
    x0_hat: Tensor | None = None  # [d, h, h], predicted from x


class EmojiFlow:
    """The generator; see core/generators/base.py for the contract."""

    def __init__(self, name: str, model: Flow, tokenizer: Tokenizer, sampling: Sampling):
        self.name, self.model, self.tokenizer, self.sampling = name, model, tokenizer, sampling
        self.times = sampling.times()
        self.num_steps = sampling.steps
        self.step_labels = tuple(f"t={t:.2f}" for t in self.times)
        self.branching_steps = frozenset(range(sampling.steps)) if sampling.eta else frozenset({0})
        self.siblings_share = False  # the draw comes before the pass
        self.decode_cost = Cost(flops_decoder=DECODE_FLOPS, decodes=1)

    @torch.no_grad()
    def start(self, prompt: str) -> FlowState:
        return FlowState(self.model.read(tokenise([prompt, ""])))

    def step_cost(self, step: int) -> Cost:
        """One guided pass. Reading the prompt, 0.05 GFLOP once a run, is not counted."""
        guided = 2 * self.model.step_flops(NOMINAL_WORDS)
        return Cost(nfe=1, tokens=self.model.config.side**2, flops_generator=guided)

    @torch.no_grad()
    def step(self, states: Sequence[FlowState], seeds: Sequence[int]) -> list[FlowState]:
        done = len(states[0].seeds)
        x = torch.stack([self._moved(state, seed, done) for state, seed in zip(states, seeds, strict=True)])
        x0_hat = self._predict(x, self.times[done], states[0].read)
        parts = zip(states, seeds, x, x0_hat, strict=True)
        return [FlowState(state.read, (*state.seeds, seed), *latents) for state, seed, *latents in parts]

    def _moved(self, state: FlowState, seed: int, done: int) -> Tensor:
        """The latent [d, h, h] at time `done`: noise at first, then along the prediction, part of it drawn anew."""
        if done == 0:
            return self._noise(seed)
        before, t, eta = self.times[done - 1], self.times[done], self.sampling.eta
        noise_hat = (state.x - (1 - before) * state.x0_hat) / before
        if eta:
            noise_hat = (1 - eta**2) ** 0.5 * noise_hat + eta * self._noise(seed)
        return (1 - t) * state.x0_hat + t * noise_hat

    def _predict(self, x: Tensor, t: float, read: tuple) -> Tensor:
        """Guided x0_hat of noisy latents x [B, d, h, h] at time t."""
        count, (pooled, text_kv, mask) = len(x), read
        text_kv = tuple(tuple(part.repeat_interleave(count, 0) for part in pair) for pair in text_kv)
        both = (pooled.repeat_interleave(count, 0), text_kv, mask.repeat_interleave(count, 0))
        prompt, empty = self.model.predict(x.repeat(2, 1, 1, 1), torch.full((2 * count,), t), both).chunk(2)
        return empty + self.sampling.cfg * (prompt - empty)

    def _noise(self, seed: int) -> Tensor:
        side = self.model.config.side
        shape = (self.model.config.channels, side, side)
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed))

    @torch.no_grad()
    def preview(self, states: Sequence[FlowState]) -> np.ndarray:
        latent = torch.stack([state.x0_hat for state in states])
        return to_images(self.tokenizer.decode(latent * self.model.latent_std))

    def freeze(self, state: FlowState) -> bytes:
        """The seeds of the path, eight bytes each."""
        return struct.pack(f">{len(state.seeds)}Q", *state.seeds)

    def thaw(self, prompt: str, data: bytes) -> FlowState:
        """Replay the path of the frozen seeds. Raises ValueError if `data` is not a path of this sampler."""
        if len(data) % 8 or len(data) // 8 > self.num_steps:
            raise ValueError(f"{len(data)} bytes are not a frozen state of {self.name}")
        state = self.start(prompt)
        for seed in struct.unpack(f">{len(data) // 8}Q", data):
            [state] = self.step([state], [seed])
        return state


def _load(name: str, sampling: Sampling) -> EmojiFlow:
    path = weights_file("flow")
    model = load_weights(Flow(FlowConfig(**load_config(path))), path)
    return EmojiFlow(name, model, load_tokenizer(), sampling)


def load() -> EmojiFlow:
    """The committed model with the ODE sampler. Raises WeightsMissing."""
    return _load("emoji-flow", Sampling())


def load_sde() -> EmojiFlow:
    """The committed model with the SDE sampler. Raises WeightsMissing."""
    return _load("emoji-flow-sde", Sampling(eta=0.3))
