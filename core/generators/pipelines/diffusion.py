"""The networks of a diffusers pipeline as a generator, without the pipeline's loop.

Pipelines run from noise to image in one go, and their schedulers keep the place: the loop is ours (diffusion.py), step
for step what the pipeline does with the same seed. Latents are float32 whatever the network computes in. What was read
of the last few prompts is kept, so that reading one again costs less than is charged for it.

Letters: B candidates, d channels, h and w of a latent.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from core.generators.diffusion import DiffusionSampler, NoisyState
from core.generators.looks import signature
from core.generators.pipelines.family import Family, Read
from core.generators.pipelines.lodging import Lodging, Together
from core.generators.pipelines.pictures import Pictures
from core.generators.room import in_parts
from core.models.memory import weights_bytes
from core.models.weights import to_images
from core.search.budget import Cost

PROMPTS_KEPT = 4
PREVIEW_SIDE = 512  # pixels; verifiers look at fewer, and a run keeps hundreds of previews
LOOK = 16  # side to which a latent is averaged for its signature


class Diffusion(DiffusionSampler):
    """The generator; see core/generators/base.py for the contract."""

    def __init__(
        self, name: str, family: Family, full: Pictures, quick: Pictures | None = None,
        lodging: Lodging | None = None, device: str = "cpu", max_batch: int = 1,
    ):
        """`full` makes finished images, `quick` previews, where there is one; both are on the device.

        `lodging` brings the other networks there; without one they stay where they are.
        """
        super().__init__(name, family.noising, family.sampling.eta)
        self.family, self.device, self.max_batch = family, device, max_batch
        self.lodging = lodging or Together((family.encoders, (family.network,)), device)
        self.full, self.quick = full, quick or full
        self.start_cost = Cost(flops_generator=family.read_flops())
        self.weights_bytes = self.lodging.device_bytes + weights_bytes(full.network, self.quick.network)
        self._step_cost = Cost(nfe=1, tokens=family.tokens, flops_generator=family.step_flops())
        self._read = lru_cache(PROMPTS_KEPT)(self._read_anew)
        self.decode_cost, self.decode_bytes = self.preview_cost(0), self.preview_bytes(0)

    @torch.no_grad()
    def start(self, prompt: str) -> NoisyState:
        return NoisyState(self._read(prompt))

    def _read_anew(self, prompt: str) -> Read:
        with self.lodging.using(self.family.encoders):
            return self.family.read(prompt, self.device)

    def step_cost(self, step: int) -> Cost:
        return self._step_cost

    def step_bytes(self, step: int) -> int:
        return self.family.step_bytes()

    def noise(self, seed: int) -> Tensor:
        return torch.randn(self.family.latent, generator=torch.Generator().manual_seed(seed)).to(self.device)

    def predicted(self, x: Sequence[Tensor], step: int, read: Read) -> list[Tensor]:
        def of(part: Sequence[Tensor]) -> list[Tensor]:
            batch = torch.stack(list(part))
            images = batch - self.noising.sigmas[step] * self.family.direction(batch, step, read)
            return [image.clone() for image in images]

        with self.lodging.using((self.family.network,)):
            return in_parts(of, list(x), len(x))

    # Looking

    @torch.no_grad()
    def preview(self, states: Sequence[NoisyState]) -> np.ndarray:
        """Finished images from the full decoder, the others from the quick one.

        No larger than PREVIEW_SIDE, unless they are asked for together with finished ones.
        """
        finished = {state.taken == self.num_steps for state in states}
        if len(finished) == 2:
            return np.concatenate([self._images([state], small=False) for state in states])
        return self._images(states, small=not finished.pop())

    def _images(self, states: Sequence[NoisyState], small: bool) -> np.ndarray:
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

    def signature(self, states: Sequence[NoisyState]) -> list[list[float]]:
        latents = torch.stack([state.x0_hat for state in states])
        side = min(LOOK, *latents.shape[2:])
        return signature(torch.nn.functional.adaptive_avg_pool2d(latents, side).cpu())
