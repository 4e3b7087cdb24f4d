"""The networks of a diffusers pipeline as a generator. One step is one noise level at which the network is asked.

The loop is ours: pipelines run from noise to image in one go, and their schedulers keep the place. Step 0 draws the
noise; every later step moves the latent to its noise level along the last prediction. Each then predicts the image
from there, one guided pass a candidate: that prediction is the preview, and after the last step the image. Without
fresh noise (`eta` 0) this is Euler's sampler, step for step what the pipeline does with the same seed. With it the
share `eta` of the predicted noise is drawn anew at every step (Song et al. 2021, eq. 12), and the search can branch
there. `renoise` and `neighbours` go back as in Ma et al. (2025).

Latents are float32 whatever the network computes in. Noise is drawn on the CPU: a seed means the same on every device.
What was read of the last few prompts is kept, so that reading one again costs less than is charged for it.

Letters: B candidates, d channels, h and w of a latent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce

import numpy as np
import torch
from torch import Tensor

from core.generators.looks import signature
from core.generators.pipelines.family import Family, Read
from core.generators.pipelines.lodging import Lodging, Together
from core.generators.pipelines.pictures import Pictures
from core.generators.recipes import Draw, Neighbour, Operation, Recipe, Renoise, beginning, pack, unpack
from core.generators.room import in_parts
from core.models.memory import held_bytes, weights_bytes
from core.models.weights import to_images
from core.search.budget import Cost

ODE_ABILITIES = frozenset({"signature", "renoise", "neighbours"})
SDE_ABILITIES = ODE_ABILITIES | {"branches"}
PROMPTS_KEPT = 4
PREVIEW_SIDE = 512  # pixels; verifiers look at fewer, and a run keeps hundreds of previews
LOOK = 16  # side to which a latent is averaged for its signature


@dataclass(frozen=True, eq=False)
class DiffusionState:
    """A noisy latent, the image predicted from it, and how they were made. Its tensors are no views of a batch."""

    read: Read  # one object for the whole run
    recipe: Recipe = ()
    taken: int = 0  # decisions
    x: Tensor | None = None  # [d, h, w], at the noise level of the last decision
    x0_hat: Tensor | None = None  # [d, h, w], predicted from x

    def tensors(self) -> Iterator[Tensor]:
        """All that it holds."""
        yield from self.read
        yield from (self.x, self.x0_hat) if self.taken else ()


class Diffusion:
    """The generator; see core/generators/base.py for the contract."""

    sharing_steps = frozenset()  # the draw comes before the pass

    def __init__(
        self, name: str, family: Family, full: Pictures, quick: Pictures | None = None,
        lodging: Lodging | None = None, device: str = "cpu", max_batch: int = 1,
    ):
        """`full` makes finished images, `quick` previews, where there is one; both are on the device.

        `lodging` brings the other networks there; without one they stay where they are.
        """
        self.name, self.family, self.device, self.max_batch = name, family, device, max_batch
        self.lodging = lodging or Together((family.encoders, (family.network,)), device)
        self.full, self.quick = full, quick or full
        self.noising, sampling = family.noising, family.sampling
        self.num_steps, self.eta = sampling.steps, sampling.eta
        self.step_labels = tuple(f"t={timestep / 1000:.2f}" for timestep in self.noising.timesteps)
        self.branching_steps = frozenset(range(self.num_steps)) if self.eta else frozenset({0})
        self.abilities = SDE_ABILITIES if self.eta else ODE_ABILITIES
        self.start_cost = Cost(flops_generator=family.read_flops())
        self.weights_bytes = self.lodging.device_bytes + weights_bytes(full.network, self.quick.network)
        self._step_cost = Cost(nfe=1, tokens=family.tokens, flops_generator=family.step_flops())
        self._read = lru_cache(PROMPTS_KEPT)(self._read_anew)

        self.decode_cost, self.decode_bytes = self.preview_cost(0), self.preview_bytes(0)

    @torch.no_grad()
    def start(self, prompt: str) -> DiffusionState:
        return DiffusionState(self._read(prompt))

    def _read_anew(self, prompt: str) -> Read:
        with self.lodging.using(self.family.encoders):
            return self.family.read(prompt, self.device)

    def step_cost(self, step: int) -> Cost:
        return self._step_cost

    def step_bytes(self, step: int) -> int:
        return self.family.step_bytes()

    @torch.no_grad()
    def step(self, states: Sequence[DiffusionState], seeds: Sequence[int]) -> list[DiffusionState]:
        if (done := states[0].taken) == self.num_steps:
            raise ValueError(f"the states have taken all {done} steps of {self.name}: there is no further one")
        x = [self._moved(state, seed, done) for state, seed in zip(states, seeds, strict=True)]
        recipes = [(*state.recipe, Draw(seed)) for state, seed in zip(states, seeds, strict=True)]
        return self._arrived(states, recipes, done + 1, x)

    def _moved(self, state: DiffusionState, seed: int, done: int) -> Tensor:
        """The latent [d, h, w] at level `done`: noise at first, then along the prediction, part of it drawn anew."""
        if done == 0:
            return self.noising.first * self._noise(seed)
        keeps, sigmas = self.noising.keeps, self.noising.sigmas
        noise_hat = (state.x - keeps[done - 1] * state.x0_hat) / sigmas[done - 1]
        if self.eta:
            noise_hat = (1 - self.eta**2) ** 0.5 * noise_hat + self.eta * self._noise(seed)
        return keeps[done] * state.x0_hat + sigmas[done] * noise_hat

    def _arrived(
        self, states: Sequence[DiffusionState], recipes: Sequence[Recipe], taken: int, x: Sequence[Tensor]
    ) -> list[DiffusionState]:
        """The states whose latents have come to `x` by `taken` decisions: one prediction each."""
        read = states[0].read
        with self.lodging.using((self.family.network,)):
            x0_hat = in_parts(lambda part: self._predicted(part, taken - 1, read), list(x), len(x))
        parts = zip(recipes, x, x0_hat, strict=True)
        return [DiffusionState(read, recipe, taken, latent, image) for recipe, latent, image in parts]

    def _predicted(self, x: Sequence[Tensor], step: int, read: Read) -> list[Tensor]:
        """The image [d, h, w] that each latent seems to have been made from."""
        batch = torch.stack(list(x))
        images = batch - self.noising.sigmas[step] * self.family.direction(batch, step, read)
        return [image.clone() for image in images]

    def _noise(self, seed: int) -> Tensor:
        return torch.randn(self.family.latent, generator=torch.Generator().manual_seed(seed)).to(self.device)

    # Going back: more noise, other noise

    @torch.no_grad()
    def renoise(self, states: Sequence[DiffusionState], step: int, seeds: Sequence[int]) -> list[DiffusionState]:
        least = min(state.taken for state in states)
        if not 1 <= step < least:
            raise ValueError(
                f"cannot renoise to step {step} after {least} decisions: there is more noise at the steps from 1 on "
                f"that lie before the last one taken"
            )
        pairs = list(zip(states, seeds, strict=True))
        if step == 1:  # nothing of the image is left there: a fresh start
            recipes = [(Draw(seed),) for seed in seeds]
        else:
            recipes = [(*state.recipe, Renoise(step, seed)) for state, seed in pairs]
        return self._arrived(states, recipes, step, [self._noised(state, step, seed) for state, seed in pairs])

    def _noised(self, state: DiffusionState, step: int, seed: int) -> Tensor:
        """The latent with the noise of `step` decisions, as if noised from the image at once.

        Fresh noise fills up what scaling leaves (Ma et al. 2025, search over paths).
        """
        if step == 1:
            return self.noising.first * self._noise(seed)
        keeps, sigmas, before = self.noising.keeps, self.noising.sigmas, state.taken - 1
        scale, sigma = keeps[step - 1] / keeps[before], sigmas[step - 1]
        return scale * state.x + (sigma**2 - (scale * sigmas[before]) ** 2) ** 0.5 * self._noise(seed)

    @torch.no_grad()
    def neighbours(
        self, states: Sequence[DiffusionState], seeds: Sequence[int], closeness: float
    ) -> list[DiffusionState]:
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
        noise = self._noise(recipe[0].seed)
        for turn in recipe[1:]:
            length = noise.norm()
            along, other = noise / length, self._noise(turn.seed)
            across = other - (other * along).sum() * along
            across = across / across.norm()
            noise = length * (turn.closeness * along + (1 - turn.closeness**2) ** 0.5 * across)
        return self.noising.first * noise

    # Looking, keeping

    @torch.no_grad()
    def preview(self, states: Sequence[DiffusionState]) -> np.ndarray:
        """Finished images from the full decoder, the others from the quick one.

        No larger than PREVIEW_SIDE, unless they are asked for together with finished ones.
        """
        finished = {state.taken == self.num_steps for state in states}
        if len(finished) == 2:
            return np.concatenate([self._images([state], small=False) for state in states])
        return self._images(states, small=not finished.pop())

    def _images(self, states: Sequence[DiffusionState], small: bool) -> np.ndarray:
        pictures = self._pictures(states[0].taken)

        def decoded(latents: Sequence[Tensor]) -> list[np.ndarray]:
            pixels = pictures.pixels(torch.stack(list(latents)))  # [B, 3, H, W]
            if small and pixels.shape[-1] > PREVIEW_SIDE:
                pixels = torch.nn.functional.adaptive_avg_pool2d(pixels, PREVIEW_SIDE)
            return list(to_images(pixels))

        return np.stack(in_parts(decoded, [state.x0_hat for state in states], len(states)))

    def preview_cost(self, step: int) -> Cost:
        return Cost(flops_decoder=self._pictures(step).flops(self.family.latent), decodes=1)

    def preview_bytes(self, step: int) -> int:
        return self._pictures(step).bytes(self.family.latent)

    def _pictures(self, step: int) -> Pictures:
        return self.full if step == self.num_steps else self.quick

    def signature(self, states: Sequence[DiffusionState]) -> list[list[float]]:
        latents = torch.stack([state.x0_hat for state in states])
        side = min(LOOK, *latents.shape[2:])
        return signature(torch.nn.functional.adaptive_avg_pool2d(latents, side).cpu())

    def held_bytes(self, states: Sequence[DiffusionState]) -> int:
        return held_bytes(tensor for state in states for tensor in state.tensors())

    def freeze(self, state: DiffusionState) -> bytes:
        """The recipe, nine to seventeen bytes an operation."""
        return pack(state.recipe)

    @torch.no_grad()
    def thaw(self, prompt: str, data: bytes) -> DiffusionState:
        """Follow the recipe again. Raises ValueError if `data` is none, or none that this sampler can follow."""
        state, recipe = self.start(prompt), unpack(data, self.name)
        first = beginning(recipe)
        if first:  # the neighbours in between are turns of the noise and need no passes
            if not isinstance(first[0], Draw):
                raise ValueError(f"{len(data)} bytes are not a frozen state of {self.name}: it begins with a draw")
            [state] = self._arrived([state], [first], 1, [self._first(first)])
        return reduce(self._again, recipe[len(first) :], state)

    def _again(self, state: DiffusionState, operation: Operation) -> DiffusionState:
        match operation:
            case Draw(seed):
                return self.step([state], [seed])[0]
            case Renoise(step, seed):
                return self.renoise([state], step, [seed])[0]
            case Neighbour(seed, closeness):
                return self.neighbours([state], [seed], closeness)[0]
