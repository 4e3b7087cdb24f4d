"""`emoji-flow` and `emoji-flow-sde`: the embedded flow model as a generator. One step is one move in time.

Step 0 draws the noise and costs nothing; every further step is one guided forward pass from t to the next time.
The ODE sampler is Euler's (DDIM with eta 0) and branches at step 0 only; the SDE sampler replaces a share `eta` of
the predicted noise by fresh noise (Song et al. 2021, eq. 12) and branches at every step but the last.

Letters: P distinct states, d channels, h latent side.
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
    """How a latent is drawn. Tuned by `core.evaluation.tune` on development prompts."""

    steps: int = 20  # forward passes
    cfg: float = 3.0  # guidance scale
    shift: float = 1.0  # > 1 spends more steps at high noise: t -> shift t / (1 + (shift - 1) t)
    eta: float = 0.0  # share of fresh noise; 0 is the ODE

    def times(self) -> list[float]:
        """steps + 1 times from 1 to 0."""
        even = [1 - step / self.steps for step in range(self.steps + 1)]
        return [self.shift * t / (1 + (self.shift - 1) * t) for t in even]


@dataclass(frozen=True, eq=False)
class FlowState:
    """A noisy latent, the image predicted on the way, and the seeds that made them."""

    read: tuple  # what the model read of [prompt, empty prompt]; one object for the whole run
    seeds: tuple[int, ...] = ()  # one per step taken
    x: Tensor | None = None  # [d, h, h], after step 0
    x0_hat: Tensor | None = None  # [d, h, h], after step 1


class EmojiFlow:
    """The generator; see core/generators/base.py for the contract."""

    def __init__(self, name: str, model: Flow, tokenizer: Tokenizer, sampling: Sampling):
        self.name, self.model, self.tokenizer, self.sampling = name, model, tokenizer, sampling
        self.times = sampling.times()
        self.num_steps = sampling.steps + 1
        self.step_labels = ("noise", *(f"t={t:.2f}" for t in self.times[1:]))
        self.branching_steps = frozenset(range(sampling.steps)) if sampling.eta else frozenset({0})
        self.decode_cost = Cost(flops_decoder=DECODE_FLOPS, decodes=1)

    @torch.no_grad()
    def start(self, prompt: str) -> FlowState:
        return FlowState(self.model.read(tokenise([prompt, ""])))

    def step_cost(self, step: int) -> Cost:
        if step == 0:  # reading the prompt is booked with the noise, once a run
            return Cost(flops_generator=2 * self.model.text_flops(NOMINAL_WORDS))
        guided = 2 * self.model.step_flops(NOMINAL_WORDS)
        return Cost(nfe=1, tokens=self.model.config.side**2, flops_generator=guided)

    @torch.no_grad()
    def step(self, states: Sequence[FlowState], seeds: Sequence[int]) -> list[FlowState]:
        done = len(states[0].seeds)
        if done == 0:
            return [FlowState(s.read, (seed,), self._noise(seed)) for s, seed in zip(states, seeds, strict=True)]
        distinct = list({id(state): state for state in states}.values())
        predicted = self._predict(distinct, self.times[done - 1])
        row = {id(state): index for index, state in enumerate(distinct)}
        return [self._move(s, predicted[row[id(s)]], seed, done) for s, seed in zip(states, seeds, strict=True)]

    def _move(self, state: FlowState, x0_hat: Tensor, seed: int, done: int) -> FlowState:
        """From t to the next time along the predicted image and noise, part of it drawn anew."""
        t, following, eta = self.times[done - 1], self.times[done], self.sampling.eta
        noise_hat = (state.x - (1 - t) * x0_hat) / t
        if eta and following > 0:
            noise_hat = (1 - eta**2) ** 0.5 * noise_hat + eta * self._noise(seed)
        x = (1 - following) * x0_hat + following * noise_hat
        return FlowState(state.read, (*state.seeds, seed), x, x0_hat)

    def _predict(self, states: list[FlowState], t: float) -> Tensor:
        """Guided x0_hat [P, d, h, h] of P distinct states at time t."""
        count = len(states)
        pooled, text_kv, mask = states[0].read
        text_kv = tuple(tuple(part.repeat_interleave(count, 0) for part in pair) for pair in text_kv)
        read = (pooled.repeat_interleave(count, 0), text_kv, mask.repeat_interleave(count, 0))
        x = torch.stack([state.x for state in states]).repeat(2, 1, 1, 1)  # [2P, d, h, h]
        prompt, empty = self.model.predict(x, torch.full((2 * count,), t), read).chunk(2)
        return empty + self.sampling.cfg * (prompt - empty)

    def _noise(self, seed: int) -> Tensor:
        side = self.model.config.side
        shape = (self.model.config.channels, side, side)
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed))

    @torch.no_grad()
    def preview(self, states: Sequence[FlowState]) -> np.ndarray:
        """The predicted images; before the first forward pass the noise itself, decoded."""
        latent = torch.stack([state.x if state.x0_hat is None else state.x0_hat for state in states])
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
    return _load("emoji-flow-sde", Sampling(eta=0.5))
