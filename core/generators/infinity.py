"""`infinity-125m`, `-2b`, `-8b`, `-8b-512`: Infinity as a generator. One step decides all bits of one grid.

As in the embedded next-scale model, siblings differ only in the draw, and scales are segments of keys and values that
states share. A candidate of the large models holds gigabytes: passes are split into parts that fit, and an early state
is shown in fewer pixels than the image will have; on a CPU, where decoding takes longest, by its linear colours.

Letters: P distinct states, G guided halves, n tokens of a scale, dt bits a token, d latent channels, H W latent size.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core.generators.looks import signature
from core.generators.parking import Parking
from core.generators.room import free_bytes, in_parts
from core.models.infinity.bits import code, next_input, pack, unpack
from core.models.infinity.conditioner import TextContext
from core.models.infinity.config import InfinityConfig, config_of
from core.models.infinity.cost import (
    FLOAT,
    WORDS,
    Planner,
    decode_bytes,
    decode_flops,
    encode_flops,
    read_flops,
    step_flops,
)
from core.models.infinity.kv import KVBatch, Segment, chain
from core.models.infinity.sampling import bit_probabilities, draw, mix_guidance, node_noise
from core.models.infinity.schedule import Grid, Schedule, schedule_of
from core.models.infinity.thumbnails import Thumbnails
from core.models.infinity.transformer import InfinityTransformer
from core.models.infinity.vae import Vae
from core.models.memory import held_bytes, weights_bytes
from core.search.budget import Cost
from core.search.errors import OutOfMemory, is_out_of_memory

PROMPTS_KEPT = 4
PREVIEW_TOKENS = 256  # no preview is decoded from a smaller grid: 256 px
COARSE_TOKENS, COARSE_TAU, COARSE_TOP_P = 64, 1.0, 0.99  # up to 8x8
LOOK = 16  # side to which a latent is averaged for its signature
GB = 1e9

Outcome = tuple[Tensor, Segment | None]  # probabilities of a scale's bits [n, dt, 2], its keys and values


class TextReader(Protocol):
    def encode(self, prompts: Sequence[str]) -> list[Tensor]:
        """Features [T, text width] of each prompt."""


@dataclass(frozen=True)
class Sampling:
    """How bits are drawn at each scale."""

    cfg: tuple[float, ...]  # guidance scale; 1 at all scales saves the half without the prompt
    tau: tuple[float, ...]  # temperature of the bits
    top_p: tuple[float, ...]  # a bit is certain if the other value has at most 1 - top_p

    @classmethod
    def of(cls, config: InfinityConfig, schedule: Schedule) -> "Sampling":
        """The official values, but at coarse scales the highest official temperature and next to no certain bits.

        There the model is so sure of itself that candidates come out alike, and a search has nothing to choose from.
        """
        coarse = [tokens <= COARSE_TOKENS for tokens in schedule.tokens]
        return cls(
            (config.cfg,) * len(coarse), tuple(COARSE_TAU if one else config.tau for one in coarse),
            tuple(COARSE_TOP_P if one else config.top_p for one in coarse),
        )

    @classmethod
    def official(cls, config: InfinityConfig, schedule: Schedule) -> "Sampling":
        """The values of the official scripts, the same at every scale."""
        scales = len(schedule.tokens)
        return cls((config.cfg,) * scales, (config.tau,) * scales, (config.top_p,) * scales)


@dataclass(frozen=True, eq=False)
class InfinityState:
    """A prefix: the bits so far, the latent they add up to, and the keys and values of its scales, shared.

    Its tensors are no views of a batch, so that dropping a state frees at once what only it used.
    """

    text: TextContext  # one object for the whole run
    bits: tuple[Tensor, ...]  # one [n, dt] a scale
    total: Tensor  # [d, H, W]
    past: Segment | None = None  # of the last scale taken; nothing reads those of the last scale of all

    def tensors(self) -> Iterator[Tensor]:
        """All that it holds."""
        yield from (self.total, *self.bits, *self.text.tensors())
        yield from (segment.kv for segment in chain(self.past))


class Infinity:
    """The generator; see core/generators/base.py for the contract."""

    abilities = frozenset({"branches", "signature"})

    def __init__(
        self, config: InfinityConfig, model: InfinityTransformer, vae: Vae, reader: TextReader, *, ratio: float = 1.0,
        sampling: Sampling | None = None, thumbnails: Thumbnails | None = None, encoder_flops: float = 0.0,
        max_batch: int = 8,
    ):
        """`ratio`: height over width. `encoder_flops`: of the text encoder for a nominal prompt.

        `thumbnails` show states before the last step in place of the decoder, at next to no cost.
        """
        self.name, self.config, self.schedule = config.name, config, schedule_of(config, ratio)
        self.model, self.vae, self.reader, self.thumbnails = model, vae, reader, thumbnails
        self.device, self.max_batch = model.pos_start.device, max_batch
        self.num_steps = len(self.schedule.tokens)
        self.step_labels = self.schedule.labels
        self.branching_steps = self.sharing_steps = frozenset(range(self.num_steps))
        self.sampling = sampling or Sampling.of(config, self.schedule)
        self.halves = 2 if any(scale != 1 for scale in self.sampling.cfg) else 1
        matrix, kernel = model.blocks[0].ffn.fc1.weight, vae.decoder.conv_in.conv.weight
        self.plan = Planner(config, self.schedule, matrix.dtype.itemsize, self.halves)
        self._image_dtype = kernel.dtype
        self.start_cost = Cost(flops_generator=encoder_flops + read_flops(config, halves=self.halves))
        self.decode_cost = self.preview_cost(self.num_steps)
        self.decode_bytes = self.preview_bytes(self.num_steps)
        self.weights_bytes = weights_bytes(model, vae)  # the text encoder makes room as soon as it has read a prompt
        self._read = lru_cache(PROMPTS_KEPT)(self._reading)
        self.parking = Parking(self.device)

    # Growing

    @torch.no_grad()
    def start(self, prompt: str) -> InfinityState:
        rows, columns = self.schedule.latent()
        total = torch.zeros(self.config.latent_channels, rows, columns, device=self.device)
        return InfinityState(self._read(prompt), (), total)

    def _reading(self, prompt: str) -> TextContext:
        [features] = self.reader.encode([prompt])
        return self.model.read(features.to(self.device), guided=self.halves == 2)

    def step_cost(self, step: int) -> Cost:
        flops = step_flops(self.config, self.schedule, step, halves=self.halves)
        return Cost(nfe=1, tokens=self.schedule.tokens[step], flops_generator=flops)

    @torch.no_grad()
    def step(self, states: Sequence[InfinityState], seeds: Sequence[int]) -> list[InfinityState]:
        number = len(states[0].bits)
        if number == self.num_steps:
            raise ValueError(f"the states have taken all {number} steps of {self.name}: there is no further one")
        distinct = list({id(state): state for state in states}.values())
        outcomes = dict(zip(map(id, distinct), self._passes(distinct, number), strict=True))
        return [self._drawn(state, outcomes[id(state)], seed) for state, seed in zip(states, seeds, strict=True)]

    def _drawn(self, state: InfinityState, outcome: Outcome, seed: int) -> InfinityState:
        """A child: its bits depend on the state and the seed alone."""
        probabilities, past = outcome
        number = len(state.bits)
        bits = draw(probabilities, node_noise(seed, number, tuple(probabilities.shape)))
        return self._grown(state, bits, past)

    def _grown(self, state: InfinityState, bits: Tensor, past: Segment | None) -> InfinityState:
        added = code(bits[None], self.schedule, len(state.bits))[0]
        return InfinityState(state.text, (*state.bits, bits), state.total + added, past)

    def _passes(self, states: Sequence[InfinityState], number: int) -> list[Outcome]:
        """One outcome for each of P distinct states, in as few forward passes as memory allows.

        Raises OutOfMemory that says how many candidates fit.
        """
        free = free_bytes(self.device)
        size = len(states) if free is None else self.plan.batch(number, len(states), free)
        if self.device.type == "cpu" and free is not None and free < self._least(number, len(states)):
            raise self._no_room(states, number)  # the system would not refuse but end the process
        try:
            return in_parts(lambda part: self._forward(part, number), states, size)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        raise self._no_room(states, number)

    def _forward(self, states: Sequence[InfinityState], number: int) -> list[Outcome]:
        """One pass for P distinct states of the same prompt."""
        totals = torch.stack([state.total for state in states])  # [P, d, H, W]
        grid = next_input(totals, self.schedule, number) if number else None
        keep = number < self.num_steps - 1
        needed = {segment for state in states for segment in chain(state.past)}
        self.parking.make_room(len(states) * self.step_bytes(number), needed)
        cache = KVBatch([state.past for state in states], self.config.depth, keep)
        logits = self.model.step(number, grid, states[0].text, cache, self.schedule)  # [G, P, n, dt, 2]
        mixed = mix_guidance(logits, self.sampling.cfg[number])
        probabilities = bit_probabilities(mixed, self.sampling.tau[number], self.sampling.top_p[number])
        segments = cache.segments()
        self.parking.add(segments)
        return list(zip(probabilities, segments, strict=True))

    def _least(self, number: int, count: int) -> int:
        """Bytes that a step of `count` distinct states takes if they pass one by one."""
        return count * self.plan.segment(number) + self.plan.passing(number)

    def _no_room(self, states: Sequence[InfinityState], number: int) -> OutOfMemory:
        """What was asked for, and how many candidates there is room for."""
        label, free = self.step_labels[number], free_bytes(self.device)
        each = f"{self.plan.held(number) / GB:.2g} GB"
        told = f"{len(states)} candidates of {self.name} do not fit at {label}, {each} each"
        if free is None:
            return OutOfMemory(f"{told}: search with fewer")
        room = free + self.held_bytes(states) - held_bytes(states[0].text.tensors())
        if most := self.plan.candidates(number, room):
            return OutOfMemory(f"{told}: there is room for {most}; search with fewer")
        less = f"{told}, nor does one on {self.device}: choose a smaller model, or a device with more memory"
        return OutOfMemory(less, hopeless=True)

    # Looking

    @torch.no_grad()
    def preview(self, states: Sequence[InfinityState]) -> np.ndarray:
        """Images of states that have taken the same number of steps; smaller than the image itself at first."""
        if self._is_thumbnail(taken := len(states[0].bits)):
            return np.stack(self._coloured(states))
        each = self.preview_bytes(taken)
        self.parking.make_room(each)
        free = free_bytes(self.device)
        size = len(states) if free is None else min(len(states), max(1, free // each))
        try:
            return np.stack(in_parts(self._decoded, states, size))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        raise OutOfMemory(f"a picture of {self.name} takes about {each / GB:.2g} GB to decode, which {self.device} has "
                          "not left beside what the search holds: search with fewer candidates")

    def _decoded(self, states: Sequence[InfinityState]) -> list[np.ndarray]:
        latents, grid = torch.stack([state.total for state in states]), self.preview_grid(len(states[0].bits))
        if grid != self.schedule.latent():
            latents = F.interpolate(latents.cpu(), grid, mode="area")  # Apple's devices do this with whole cells only
        return _pictures(self.vae.decode(latents.to(self.device, self._image_dtype)).float())

    def _is_thumbnail(self, taken: int) -> bool:
        return self.thumbnails is not None and taken < self.num_steps

    def _coloured(self, states: Sequence[InfinityState]) -> list[np.ndarray]:
        """Thumbnails enlarged to the size that a preview would have."""
        rows, columns = self.preview_grid(len(states[0].bits))
        small = self.thumbnails(torch.stack([state.total for state in states]))  # [B, 3, H, W]
        stride = self.vae.config.stride
        return _pictures(F.interpolate(small, (rows * stride, columns * stride), mode="bilinear"))

    def preview_grid(self, taken: int) -> Grid:
        """Rows and columns of the latent that a state is shown from: of a scale with four times as many tokens."""
        tokens = self.schedule.tokens
        if taken == self.num_steps:
            return self.schedule.latent()
        wanted = max(PREVIEW_TOKENS, 4 * tokens[max(0, taken - 1)])
        enough = [scale for scale, count in enumerate(tokens) if count >= wanted]
        return self.schedule.latent(enough[0] if enough else -1)

    def preview_cost(self, step: int) -> Cost:
        if self._is_thumbnail(step):
            return Cost(flops_decoder=self.thumbnails.flops(*self.schedule.latent()), decodes=1)
        return Cost(flops_decoder=decode_flops(self.vae.config, self.preview_grid(step)), decodes=1)

    def preview_bytes(self, step: int) -> int:
        if self._is_thumbnail(step):
            rows, columns = self.preview_grid(step)
            return 3 * 3 * FLOAT * rows * columns * self.vae.config.stride**2  # three copies of an image in fp32
        return decode_bytes(self.vae.config, self.preview_grid(step), self._image_dtype.itemsize)

    @torch.no_grad()
    def signature(self, states: Sequence[InfinityState]) -> list[list[float]]:
        latents = torch.stack([state.total for state in states]).cpu()
        small = F.adaptive_avg_pool2d(latents, LOOK)
        return signature(small * (latents[0].numel() / small[0].numel()) ** 0.5)  # distances are those of the latents

    # Keeping

    def held_bytes(self, states: Sequence[InfinityState]) -> int:
        return held_bytes(tensor for state in states for tensor in state.tensors())

    def step_bytes(self, step: int) -> int:
        return self.plan.passing(step) + self.plan.segment(step)

    def freeze(self, state: InfinityState) -> bytes:
        """The bits, eight a byte, behind the number of scales."""
        return struct.pack("B", len(state.bits)) + pack(state.bits)

    @torch.no_grad()
    def thaw(self, prompt: str, data: bytes) -> InfinityState:
        """Replay the forward passes of the frozen bits; a finished image needs none.

        Raises ValueError if `data` is not of this model.
        """
        try:
            frozen = unpack(data[1:], self.schedule, self.config.bits, data[0])
        except (IndexError, ValueError):
            raise ValueError(f"{len(data)} bytes are not a frozen state of {self.name}") from None
        state = self.start(prompt)
        for number, bits in enumerate(frozen):
            past = None if len(frozen) == self.num_steps else self._passes([state], number)[0][1]
            state = self._grown(state, bits.to(self.device), past)
        return state


def _pictures(images: Tensor) -> list[np.ndarray]:
    """[B, 3, height, width] in [-1, 1] -> uint8 [height, width, 3] each; cut off and not rounded, as officially."""
    return list(((images + 1) / 2 * 255).byte().permute(0, 2, 3, 1).cpu().numpy())


def _load(name: str) -> Infinity:
    """The released model where real models run here. Raises WeightsMissing."""
    from core.models.infinity.checkpoint import load_transformer, load_vae
    from core.models.infinity.text import TextEncoder
    from core.models.infinity.thumbnails import stored
    from core.packages.catalogue import models_folder
    from core.packages.slim import weights
    from core.place import place

    here, config = place(), config_of(name)
    slow, dtype = here.device == "cpu", getattr(torch, here.dtype)
    robust = torch.bfloat16 if dtype == torch.float16 else dtype  # T5 and the decoder overflow in fp16
    encoder, transformer = weights("flan-t5-xl"), weights(name)  # what is missing is told before gigabytes are read
    vae = load_vae(config.vae, weights(config.vae), here.device, torch.float32 if slow else robust)  # CPUs: no bf16
    generator = Infinity(
        config, load_transformer(config, transformer, here.device, dtype), vae,
        TextEncoder(encoder, here.device, robust, models_folder() / "prompts"),
        encoder_flops=encode_flops(), max_batch=2 if slow else 8,
    )
    if slow:
        path = models_folder() / "thumbnails" / f"{config.vae}.json"
        generator.thumbnails = stored(path, vae, lambda: own_latents(generator))
    return generator


@torch.no_grad()
def own_latents(generator: Infinity, count: int = 4) -> Tensor:
    """What the model draws without a prompt and without guidance, small: [count, d, h, w] of 256 tokens or a few more.

    Stops where that many are reached, so that a large image takes hardly longer than a small one.
    """
    model, schedule = generator.model, generator.schedule
    text = model.read(model.cfg_uncond[:WORDS], guided=False)
    total = torch.zeros(generator.config.latent_channels, *schedule.latent(), device=generator.device)
    states, number = [InfinityState(text, (), total)] * count, -1
    while number < 0 or schedule.tokens[number] < PREVIEW_TOKENS:
        number += 1
        states = generator.step(states, range(count * number, count * (number + 1)))
    return F.interpolate(torch.stack([state.total for state in states]).cpu(), schedule.latent(number), mode="area")


def load_125m() -> Infinity:
    """256 px; the one for a CPU. Raises WeightsMissing."""
    return _load("infinity-125m")


def load_2b() -> Infinity:
    """1024 px. Raises WeightsMissing."""
    return _load("infinity-2b")


def load_8b() -> Infinity:
    """1024 px. Raises WeightsMissing."""
    return _load("infinity-8b")


def load_8b_512() -> Infinity:
    """512 px. Raises WeightsMissing."""
    return _load("infinity-8b-512")
