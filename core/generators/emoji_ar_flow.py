"""`emoji-ar-flow`: the next-scale model lays out the picture, the flow model finishes it.

The first six steps are those of `emoji-ar`. Then the latent of the bits, partly noised, is handed over to the flow
model, whose remaining times are the remaining steps: SDEdit (Meng et al. 2022) from a searched start, the hybrid that
Riise et al. (2025) name as future work. `renoise` hands over from fewer scales, to less noise, or goes back.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from core.generators import emoji_flow
from core.generators.diffusion import NoisyState
from core.generators.emoji_ar import ArState, EmojiAr
from core.generators.emoji_flow import EmojiFlow
from core.generators.looks import signature
from core.generators.recipes import Draw, Renoise, pack, unpack
from core.generators.registry import load_generator
from core.models.memory import held_bytes, weights_bytes
from core.models.weights import to_images
from core.search.budget import Cost

FLOW = emoji_flow.Sampling(steps=12, cfg=4.0, shift=2.0)  # finer steps than from noise: only the last few are taken


@dataclass(frozen=True)
class Sampling:
    """Where the flow model takes over.

    At t = 0.67 it redraws edges and textures and leaves number, place and colour to the scales; from t = 0.74 on it
    repaints backgrounds, from t = 0.80 on objects.
    """

    skipped: int = 6  # times of the flow sampler left out: the first that is taken is 0.67


@dataclass(frozen=True, eq=False)
class HybridState:
    """The scales so far, and the flow state that was made of them; before the handover that one is bare."""

    ar: ArState
    flow: NoisyState

    def tensors(self) -> Iterator[Tensor]:
        yield from (*self.ar.tensors(), *self.flow.tensors())


class EmojiArFlow:
    """The generator; see core/generators/base.py for the contract."""

    name = "emoji-ar-flow"
    abilities = frozenset({"branches", "signature", "renoise", "handover"})

    def __init__(self, ar: EmojiAr, flow: EmojiFlow, sampling: Sampling | None = None):
        self.ar, self.flow, self.sampling = ar, flow, sampling or Sampling()
        self.handover_step = ar.num_steps
        self.offset = ar.num_steps - self.sampling.skipped  # decisions taken here less those of the flow sampler
        self.num_steps = self.offset + flow.num_steps
        self.step_labels = (*ar.step_labels, *flow.step_labels[self.sampling.skipped :])
        self.sharing_steps = ar.sharing_steps
        self.branching_steps = ar.branching_steps | {self.handover_step} | {
            step + self.offset for step in flow.branching_steps if step > self.sampling.skipped
        }
        self.start_cost = ar.start_cost + flow.start_cost
        self.decode_cost, self.decode_bytes = ar.decode_cost, ar.decode_bytes
        self.max_batch = min(ar.max_batch, flow.max_batch)
        self.weights_bytes = weights_bytes(ar.model, flow.model, ar.tokenizer)

    def start(self, prompt: str) -> HybridState:
        return HybridState(self.ar.start(prompt), self.flow.start(prompt))

    def step_cost(self, step: int) -> Cost:
        return self.ar.step_cost(step) if step < self.handover_step else self.flow.step_cost(step - self.offset)

    def step_bytes(self, step: int) -> int:
        return self.ar.step_bytes(step) if step < self.handover_step else self.flow.step_bytes(step - self.offset)

    def _taken(self, state: HybridState) -> int:
        return state.flow.taken + self.offset if state.flow.taken else len(state.ar.bits)

    def step(self, states: Sequence[HybridState], seeds: Sequence[int]) -> list[HybridState]:
        done = self._taken(states[0])
        if done < self.handover_step:
            grown = self.ar.step([state.ar for state in states], seeds)
            return [HybridState(ar, state.flow) for ar, state in zip(grown, states, strict=True)]
        if done == self.handover_step:
            return self._carried(states, done + 1, seeds)
        return self._with_flow(states, self.flow.step([state.flow for state in states], seeds))

    def renoise(self, states: Sequence[HybridState], step: int, seeds: Sequence[int]) -> list[HybridState]:
        most = min(self._taken(state) - 1 if state.flow.taken else self.num_steps for state in states)
        if not self.handover_step < step <= most or not all(state.ar.bits for state in states):
            raise ValueError(
                f"cannot renoise to step {step}: after the first scale the flow steps {self.handover_step + 1} to "
                f"{self.num_steps} can be handed over to, after the handover those before the last one taken"
            )
        return self._carried(states, step, seeds)

    def _carried(self, states: Sequence[HybridState], step: int, seeds: Sequence[int]) -> list[HybridState]:
        """The latents of states on either side of the handover, with the noise after `step` decisions."""
        latents = [self._latent(state) for state in states]
        return self._with_flow(
            states, self.flow.carried([state.flow for state in states], latents, step - self.offset, seeds)
        )

    def _latent(self, state: HybridState) -> tuple[Tensor, int]:
        """The latent [d, h, h] in the flow model's units, and the flow decisions behind it."""
        if state.flow.taken:
            return state.flow.x, state.flow.taken
        return state.ar.total / self.flow.model.latent_std, 0

    def _with_flow(self, states: Sequence[HybridState], flows: Sequence[NoisyState]) -> list[HybridState]:
        """The states after the handover: nothing reads the keys and values of the scales any more."""
        return [HybridState(replace(s.ar, past=None), flow) for s, flow in zip(states, flows, strict=True)]

    def _image_latents(self, states: Sequence[HybridState]) -> Tensor:
        """The best guess at each image in the tokenizer's units, [B, d, h, h]."""
        return torch.stack([self.flow.image_latent(s.flow) if s.flow.taken else s.ar.total for s in states])

    @torch.no_grad()
    def preview(self, states: Sequence[HybridState]) -> np.ndarray:
        return to_images(self.ar.tokenizer.decode(self._image_latents(states)))

    @torch.no_grad()
    def signature(self, states: Sequence[HybridState]) -> list[list[float]]:
        return signature(self._image_latents(states))

    def held_bytes(self, states: Sequence[HybridState]) -> int:
        return held_bytes(tensor for state in states for tensor in state.tensors())

    def freeze(self, state: HybridState) -> bytes:
        """The length of the frozen scales, they, and the recipe of the flow state."""
        scales = self.ar.freeze(state.ar)
        return struct.pack(">H", len(scales)) + scales + pack(state.flow.recipe)

    def thaw(self, prompt: str, data: bytes) -> HybridState:
        """Replay the scales, then the recipe. Raises ValueError if `data` is not of this model."""
        length = int.from_bytes(data[:2], "big") + 2
        recipe = unpack(data[length:], self.name)
        if length > len(data) or (recipe and not isinstance(recipe[0], Renoise)):
            raise ValueError(f"{len(data)} bytes are not a frozen state of {self.name}")
        state = HybridState(self.ar.thaw(prompt, data[2:length]), self.flow.start(prompt))
        for operation in recipe:
            match operation:
                case Draw(seed):
                    [state] = self.step([state], [seed])
                case Renoise(step, seed):
                    [state] = self.renoise([state], step + self.offset, [seed])
                case _:
                    raise ValueError(f"{len(data)} bytes are not a frozen state of {self.name}: it has no neighbours")
        return state


def load() -> EmojiArFlow:
    """The committed models, shared with the generators of their own. Raises WeightsMissing."""
    flow = load_generator("emoji-flow")
    return EmojiArFlow(load_generator("emoji-ar"), EmojiFlow(flow.name, flow.model, flow.tokenizer, FLOW))
