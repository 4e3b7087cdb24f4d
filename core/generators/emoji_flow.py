"""`emoji-flow` and `emoji-flow-sde`: the embedded flow model as a generator. One step is one time of the sampler.

Step 0 draws the noise; every later step moves the latent to its time along the last prediction. Each then predicts the
image from there, one guided forward pass a candidate: that prediction is the preview, and after the last step the
image. The ODE sampler is Euler's (DDIM with eta 0) and branches at step 0 only; the SDE sampler replaces a share `eta`
of the predicted noise by fresh noise (Song et al. 2021, eq. 12) and branches at every step. A search may also go back:
to more noise (`renoise`) or to another first noise near the old one (`neighbours`).

Letters: B candidates, d channels, h latent side.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from core.generators.emoji_ar import BLOCK_WIDTHS, DECODE_BYTES, DECODE_FLOPS, load_tokenizer
from core.generators.looks import signature
from core.generators.recipes import Draw, Neighbour, Operation, Recipe, Renoise, beginning, pack, unpack
from core.models.flow import Flow, FlowConfig
from core.models.memory import held_bytes, weights_bytes
from core.models.text import NOMINAL_WORDS, tokenise
from core.models.tokenizer import Tokenizer
from core.models.weights import load_config, load_weights, to_images, weights_file
from core.search.budget import Cost

ODE_ABILITIES = frozenset({"signature", "renoise", "neighbours"})


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
    """A noisy latent, the image predicted from it, and how they were made. Its tensors are no views of a batch."""

    read: tuple  # what the model read of [prompt, empty prompt]; one object for the whole run
    recipe: Recipe = ()
    taken: int = 0  # decisions
    x: Tensor | None = None  # [d, h, h], at the time of the last decision
    x0_hat: Tensor | None = None  # [d, h, h], predicted from x

    def tensors(self) -> Iterator[Tensor]:
        """All that it holds."""
        pooled, text_kv, mask = self.read
        yield from (pooled, mask, *(part for pair in text_kv for part in pair))
        yield from (self.x, self.x0_hat) if self.taken else ()


class EmojiFlow:
    """The generator; see core/generators/base.py for the contract."""

    sharing_steps = frozenset()  # the draw comes before the pass
    decode_cost = Cost(flops_decoder=DECODE_FLOPS, decodes=1)
    decode_bytes = DECODE_BYTES
    max_batch = 8  # 48 ms for a step, 35 ms to decode on two cores; more at once is no quicker

    def __init__(self, name: str, model: Flow, tokenizer: Tokenizer, sampling: Sampling):
        self.name, self.model, self.tokenizer, self.sampling = name, model, tokenizer, sampling
        self.times = sampling.times()
        self.num_steps = sampling.steps
        self.step_labels = tuple(f"t={t:.2f}" for t in self.times)
        self.branching_steps = frozenset(range(sampling.steps)) if sampling.eta else frozenset({0})
        self.abilities = ODE_ABILITIES | ({"branches"} if sampling.eta else set())
        self.start_cost = Cost(flops_generator=2 * model.text_flops(NOMINAL_WORDS))
        self.weights_bytes = weights_bytes(model, tokenizer)

    @torch.no_grad()
    def start(self, prompt: str) -> FlowState:
        return FlowState(self.model.read(tokenise([prompt, ""])))

    def step_cost(self, step: int) -> Cost:
        guided = 2 * self.model.step_flops(NOMINAL_WORDS)
        return Cost(nfe=1, tokens=self.model.config.side**2, flops_generator=guided)

    @torch.no_grad()
    def step(self, states: Sequence[FlowState], seeds: Sequence[int]) -> list[FlowState]:
        if (done := states[0].taken) == self.num_steps:
            raise ValueError(f"the states have taken all {done} steps of {self.name}: there is no further one")
        x = [self._moved(state, seed, done) for state, seed in zip(states, seeds, strict=True)]
        recipes = [(*state.recipe, Draw(seed)) for state, seed in zip(states, seeds, strict=True)]
        return self._arrived(states, recipes, done + 1, x)

    def _moved(self, state: FlowState, seed: int, done: int) -> Tensor:
        """The latent [d, h, h] at time `done`: noise at first, then along the prediction, part of it drawn anew."""
        if done == 0:
            return self._noise(seed)
        before, t, eta = self.times[done - 1], self.times[done], self.sampling.eta
        noise_hat = (state.x - (1 - before) * state.x0_hat) / before
        if eta:
            noise_hat = (1 - eta**2) ** 0.5 * noise_hat + eta * self._noise(seed)
        return (1 - t) * state.x0_hat + t * noise_hat

    def _arrived(
        self, states: Sequence[FlowState], recipes: Sequence[Recipe], taken: int, x: Sequence[Tensor]
    ) -> list[FlowState]:
        """The states whose latents have come to `x` by `taken` decisions: one prediction each."""
        x0_hat = self._predict(torch.stack(x), self.times[taken - 1], states[0].read)
        parts = zip(states, recipes, x, x0_hat, strict=True)
        return [FlowState(s.read, recipe, taken, latent, image.clone()) for s, recipe, latent, image in parts]

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

    # Going back: more noise, other noise

    def renoise(self, states: Sequence[FlowState], step: int, seeds: Sequence[int]) -> list[FlowState]:
        least = min(state.taken for state in states)
        if not 1 <= step < least:
            raise ValueError(
                f"cannot renoise to step {step} after {least} decisions: there is more noise at the steps from 1 on "
                f"that lie before the last one taken"
            )
        latents = [(state.x, self.times[state.taken - 1]) for state in states]
        return self.carried(states, latents, step, seeds)

    @torch.no_grad()
    def carried(
        self, states: Sequence[FlowState], latents: Sequence[tuple[Tensor, float]], step: int, seeds: Sequence[int]
    ) -> list[FlowState]:
        """Latents, each given with its time (0: an image's), with the noise of `step` decisions, and a prediction.

        Fresh noise fills up what scaling leaves, so that x is as if noised from the image at once (Ma et al. 2025,
        search over paths).
        """
        t, x = self.times[step - 1], []
        for (latent, before), seed in zip(latents, seeds, strict=True):
            scale = (1 - t) / (1 - before)
            x.append(scale * latent + (t**2 - (scale * before) ** 2) ** 0.5 * self._noise(seed))
        recipes = [(*state.recipe, Renoise(step, seed)) for state, seed in zip(states, seeds, strict=True)]
        return self._arrived(states, recipes, step, x)

    @torch.no_grad()
    def neighbours(self, states: Sequence[FlowState], seeds: Sequence[int], closeness: float) -> list[FlowState]:
        if not all(state.recipe for state in states) or not -1 <= closeness <= 1:
            raise ValueError(
                f"neighbours at closeness {closeness} of states after {min(state.taken for state in states)} decisions:"
                f" the closeness is a cosine, and there is noise to stay close to after the first decision"
            )
        recipes = [
            (*beginning(state.recipe), Neighbour(seed, closeness)) for state, seed in zip(states, seeds, strict=True)
        ]
        return self._arrived(states, recipes, 1, [self._first_noise(recipe) for recipe in recipes])

    def _first_noise(self, recipe: Recipe) -> Tensor:
        """The noise [d, h, h] that the beginning of a recipe makes, turned by each neighbour's cosine."""
        noise = self._noise(recipe[0].seed)
        for turn in recipe[1:]:
            length = noise.norm()
            along, other = noise / length, self._noise(turn.seed)
            across = other - (other * along).sum() * along
            across = across / across.norm()
            noise = length * (turn.closeness * along + (1 - turn.closeness**2) ** 0.5 * across)
        return noise

    # Looking, keeping

    @torch.no_grad()
    def preview(self, states: Sequence[FlowState]) -> np.ndarray:
        return to_images(self.tokenizer.decode(torch.stack([self.image_latent(state) for state in states])))

    @torch.no_grad()
    def signature(self, states: Sequence[FlowState]) -> list[list[float]]:
        return signature(torch.stack([self.image_latent(state) for state in states]))

    def image_latent(self, state: FlowState) -> Tensor:
        """The predicted image in the tokenizer's units, [d, h, h]."""
        return state.x0_hat * self.model.latent_std

    def held_bytes(self, states: Sequence[FlowState]) -> int:
        return held_bytes(tensor for state in states for tensor in state.tensors())

    def step_bytes(self, step: int) -> int:
        """The text's keys and values and what a block computes, for both guided halves."""
        config = self.model.config
        return 8 * config.width * (2 * config.depth * NOMINAL_WORDS + BLOCK_WIDTHS * config.side**2)

    def freeze(self, state: FlowState) -> bytes:
        """The recipe, nine to seventeen bytes an operation."""
        return pack(state.recipe)

    @torch.no_grad()
    def thaw(self, prompt: str, data: bytes) -> FlowState:
        """Follow the recipe again. Raises ValueError if `data` is none, or none that this sampler can follow."""
        state, recipe = self.start(prompt), unpack(data, self.name)
        first = beginning(recipe)
        if first:  # the neighbours in between are turns of the noise and need no passes
            if not isinstance(first[0], Draw):
                raise ValueError(f"{len(data)} bytes are not a frozen state of {self.name}: it begins with a draw")
            [state] = self._arrived([state], [first], 1, [self._first_noise(first)])
        return reduce(self._again, recipe[len(first) :], state)

    def _again(self, state: FlowState, operation: Operation) -> FlowState:
        match operation:
            case Draw(seed):
                return self.step([state], [seed])[0]
            case Renoise(step, seed):
                return self.renoise([state], step, [seed])[0]
            case Neighbour(seed, closeness):
                return self.neighbours([state], [seed], closeness)[0]


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
