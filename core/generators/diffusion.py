"""How a latent goes through noise levels, for every diffusion generator: forward, and back as a search may want it.

One step is one noise level at which the network is asked. Step 0 draws the noise; every later step moves the latent to
its level along the last prediction. Each then predicts the image from there, one guided pass a candidate: that
prediction is the preview, and after the last step the image. Without fresh noise (`eta` 0) this is Euler's sampler
(DDIM with eta 0), which branches at step 0 only. With it the share `eta` of the predicted noise is drawn anew at every
step (Song et al. 2021, eq. 12), and the search can branch there. A search may also go back: to more noise (`renoise`)
or to another first noise near the old one (`neighbours`), as in Ma et al. (2025).

Letters: B candidates, d channels, h and w of a latent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from core.generators.recipes import Draw, Neighbour, Operation, Recipe, Renoise, beginning, pack, unpack
from core.models.memory import held_bytes

ODE_ABILITIES = frozenset({"signature", "renoise", "neighbours"})
SDE_ABILITIES = ODE_ABILITIES | {"branches"}


@dataclass(frozen=True)
class Noising:
    """At which noise levels the network is asked, from most to least: there x = keep * x0 + sigma * noise."""

    sigmas: tuple[float, ...]
    keeps: tuple[float, ...]  # 1 - sigma in flow matching, 1 where the variance explodes
    timesteps: tuple[float, ...]  # the same, as the network is told: 1000 is all noise
    first: float = 1.0  # the first x is the noise times this, with nothing of an image


@dataclass(frozen=True, eq=False)
class NoisyState:
    """A noisy latent, the image predicted from it, and how they were made. Its tensors are no views of a batch."""

    read: tuple  # what the network wants to know of the prompt, tensors in tuples; one object for the whole run
    recipe: Recipe = ()
    taken: int = 0  # decisions
    x: Tensor | None = None  # [d, h, w], at the noise level of the last decision
    x0_hat: Tensor | None = None  # [d, h, w], predicted from x

    def tensors(self) -> Iterator[Tensor]:
        """All that it holds."""
        yield from _tensors((self.read, self.x, self.x0_hat) if self.taken else self.read)


def _tensors(part: Any) -> Iterator[Tensor]:
    if isinstance(part, Tensor):
        yield part
    else:
        for inner in part:
            yield from _tensors(inner)


class DiffusionSampler(ABC):
    """What diffusion generators share of core/generators/base.py: all that does not depend on the network."""

    sharing_steps = frozenset()  # the draw comes before the pass

    def __init__(self, name: str, noising: Noising, eta: float = 0.0):
        self.name, self.noising, self.eta = name, noising, eta
        self.num_steps = len(noising.sigmas)
        self.step_labels = tuple(f"t={timestep / 1000:.2f}" for timestep in noising.timesteps)
        self.branching_steps = frozenset(range(self.num_steps)) if eta else frozenset({0})
        self.abilities = SDE_ABILITIES if eta else ODE_ABILITIES

    @abstractmethod
    def start(self, prompt: str) -> NoisyState:
        """A state that has read the prompt and nothing else."""

    @abstractmethod
    def noise(self, seed: int) -> Tensor:
        """Standard normal [d, h, w], drawn on the CPU: a seed means the same on every device."""

    @abstractmethod
    def predicted(self, x: Sequence[Tensor], step: int, read: tuple) -> list[Tensor]:
        """The guided x0_hat [d, h, w] of each latent [d, h, w] at the noise level of `step`."""

    @torch.no_grad()
    def step(self, states: Sequence[NoisyState], seeds: Sequence[int]) -> list[NoisyState]:
        if (done := states[0].taken) == self.num_steps:
            raise ValueError(f"the states have taken all {done} steps of {self.name}: there is no further one")
        x = [self._moved(state, seed, done) for state, seed in zip(states, seeds, strict=True)]
        recipes = [(*state.recipe, Draw(seed)) for state, seed in zip(states, seeds, strict=True)]
        return self._arrived(states, recipes, done + 1, x)

    def _moved(self, state: NoisyState, seed: int, done: int) -> Tensor:
        """The latent [d, h, w] at level `done`: noise at first, then along the prediction, part of it drawn anew."""
        if done == 0:
            return self.noising.first * self.noise(seed)
        keeps, sigmas = self.noising.keeps, self.noising.sigmas
        noise_hat = (state.x - keeps[done - 1] * state.x0_hat) / sigmas[done - 1]
        if self.eta:
            noise_hat = (1 - self.eta**2) ** 0.5 * noise_hat + self.eta * self.noise(seed)
        return keeps[done] * state.x0_hat + sigmas[done] * noise_hat

    def _arrived(
        self, states: Sequence[NoisyState], recipes: Sequence[Recipe], taken: int, x: Sequence[Tensor]
    ) -> list[NoisyState]:
        """The states whose latents have come to `x` by `taken` decisions: one prediction each."""
        read = states[0].read
        x0_hat = self.predicted(x, taken - 1, read)
        parts = zip(recipes, x, x0_hat, strict=True)
        return [NoisyState(read, recipe, taken, latent, image) for recipe, latent, image in parts]

    # Going back: more noise, other noise

    @torch.no_grad()
    def renoise(self, states: Sequence[NoisyState], step: int, seeds: Sequence[int]) -> list[NoisyState]:
        least = min(state.taken for state in states)
        if not 1 <= step < least:
            raise ValueError(
                f"cannot renoise to step {step} after {least} decisions: there is more noise at the steps from 1 on "
                f"that lie before the last one taken"
            )
        if step == 1:  # nothing of the image is left there: a fresh start
            x = [self.noising.first * self.noise(seed) for seed in seeds]
            return self._arrived(states, [(Draw(seed),) for seed in seeds], 1, x)
        return self.carried(states, [(state.x, state.taken) for state in states], step, seeds)

    @torch.no_grad()
    def carried(
        self, states: Sequence[NoisyState], latents: Sequence[tuple[Tensor, int]], step: int, seeds: Sequence[int]
    ) -> list[NoisyState]:
        """Latents, each with the decisions behind it (0: an image's), brought to the noise of `step`; predictions.

        Fresh noise fills up what scaling leaves, so that x is as if noised from the image at once (Ma et al. 2025,
        search over paths).
        """
        keep, sigma, x = self.noising.keeps[step - 1], self.noising.sigmas[step - 1], []
        for (latent, taken), seed in zip(latents, seeds, strict=True):
            kept, noisy = (self.noising.keeps[taken - 1], self.noising.sigmas[taken - 1]) if taken else (1.0, 0.0)
            scale = keep / kept
            x.append(scale * latent + (sigma**2 - (scale * noisy) ** 2) ** 0.5 * self.noise(seed))
        recipes = [(*state.recipe, Renoise(step, seed)) for state, seed in zip(states, seeds, strict=True)]
        return self._arrived(states, recipes, step, x)

    @torch.no_grad()
    def neighbours(self, states: Sequence[NoisyState], seeds: Sequence[int], closeness: float) -> list[NoisyState]:
        if not all(state.recipe for state in states) or not -1 <= closeness <= 1:
            raise ValueError(
                f"neighbours at closeness {closeness} of states after {min(state.taken for state in states)} decisions:"
                f" the closeness is a cosine, and there is noise to stay close to after the first decision"
            )
        recipes = [
            (*beginning(state.recipe), Neighbour(seed, closeness)) for state, seed in zip(states, seeds, strict=True)
        ]
        return self._arrived(states, recipes, 1, [self._first(recipe) for recipe in recipes])

    def _first(self, recipe: Recipe) -> Tensor:
        """The first latent [d, h, w] that the beginning of a recipe makes, turned by each neighbour's cosine."""
        noise = self.noise(recipe[0].seed)
        for turn in recipe[1:]:
            length = noise.norm()
            along, other = noise / length, self.noise(turn.seed)
            across = other - (other * along).sum() * along
            across = across / across.norm()
            noise = length * (turn.closeness * along + (1 - turn.closeness**2) ** 0.5 * across)
        return self.noising.first * noise

    # Keeping

    def held_bytes(self, states: Sequence[NoisyState]) -> int:
        return held_bytes(tensor for state in states for tensor in state.tensors())

    def freeze(self, state: NoisyState) -> bytes:
        """The recipe, nine to seventeen bytes an operation."""
        return pack(state.recipe)

    @torch.no_grad()
    def thaw(self, prompt: str, data: bytes) -> NoisyState:
        """Follow the recipe again. Raises ValueError if `data` is none, or none that this sampler can follow."""
        state, recipe = self.start(prompt), unpack(data, self.name)
        first = beginning(recipe)
        if first:  # the neighbours in between are turns of the noise and need no passes
            if not isinstance(first[0], Draw):
                raise ValueError(f"{len(data)} bytes are not a frozen state of {self.name}: it begins with a draw")
            [state] = self._arrived([state], [first], 1, [self._first(first)])
        return reduce(self._again, recipe[len(first) :], state)

    def _again(self, state: NoisyState, operation: Operation) -> NoisyState:
        match operation:
            case Draw(seed):
                return self.step([state], [seed])[0]
            case Renoise(step, seed):
                return self.renoise([state], step, [seed])[0]
            case Neighbour(seed, closeness):
                return self.neighbours([state], [seed], closeness)[0]
