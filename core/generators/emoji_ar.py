"""`emoji-ar`: the embedded next-scale model as a generator. One step decides all bits of one grid.

The bits of a scale do not enter its own keys and values, so siblings differ only in the draw: `step` runs one
forward pass for every distinct state it is given and draws as often as it is asked (Infinity, Han et al. 2025).

Letters: P distinct states, 2 guided halves (prompt, empty prompt), d bits, s side of a scale, h latent side.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.models.next_scale import NextScale, NextScaleConfig, TextContext
from core.models.text import NOMINAL_WORDS, tokenise
from core.models.tokenizer import SCALES, Tokenizer
from core.models.weights import load_config, load_weights, to_images, weights_file
from core.search.budget import Cost

DECODE_FLOPS = 1_017_905_152.0  # of one 128 px image; a test holds it against torch's own counter


@dataclass(frozen=True)
class Sampling:
    """How bits are drawn at each scale. The best of the trials in assets/results/tune.json."""

    cfg: tuple[float, ...] = (1.5, 1.75, 2.0, 2.5, 3.0, 3.5)  # guidance scale
    tau: tuple[float, ...] = (1.0, 1.0, 0.9, 0.8, 0.7, 0.6)  # temperature of the bits


@dataclass(frozen=True, eq=False)
class ArState:
    """A prefix: the bits so far, their running sum, and per scale the keys and values that siblings share."""

    context: TextContext  # of [prompt, empty prompt]; one object for the whole run
    bits: tuple[Tensor, ...]  # one [d, s, s] per scale
    total: Tensor  # [d, h, h]
    past: tuple[Tensor, ...]  # one [depth, 2, 2, H, n, E] per scale, the last scale's left out


class EmojiAr:
    """The generator; see core/generators/base.py for the contract."""

    name = "emoji-ar"
    num_steps = len(SCALES)
    step_labels = tuple(f"{side}x{side}" for side in SCALES)
    branching_steps = frozenset(range(len(SCALES)))
    siblings_share = True
    decode_cost = Cost(flops_decoder=DECODE_FLOPS, decodes=1)

    def __init__(self, model: NextScale, tokenizer: Tokenizer, sampling: Sampling | None = None):
        self.model, self.tokenizer, self.sampling = model, tokenizer, sampling or Sampling()

    @torch.no_grad()
    def start(self, prompt: str) -> ArState:
        side, bits = SCALES[-1], self.tokenizer.config.bits
        return ArState(self.model.read(tokenise([prompt, ""])), (), torch.zeros(bits, side, side), ())

    def step_cost(self, step: int) -> Cost:
        guided = 2 * self.model.step_flops(step, NOMINAL_WORDS)
        return Cost(nfe=1, tokens=SCALES[step] ** 2, flops_generator=guided)

    @torch.no_grad()
    def step(self, states: Sequence[ArState], seeds: Sequence[int]) -> list[ArState]:
        number = len(states[0].bits)
        distinct = list({id(state): state for state in states}.values())
        logits, segments = self._forward(distinct, number)
        row = {id(state): index for index, state in enumerate(distinct)}
        rows = [row[id(state)] for state in states]
        probabilities = torch.sigmoid(logits / self.sampling.tau[number])  # [P, d, s, s]
        drawn = torch.stack([_draw(probabilities[r], seed) for r, seed in zip(rows, seeds, strict=True)])
        totals = torch.stack([state.total for state in states]) + self.tokenizer.code(drawn, number)
        last = number == self.num_steps - 1
        return [
            ArState(s.context, (*s.bits, bits), total, () if last else (*s.past, segments[r]))
            for s, r, bits, total in zip(states, rows, drawn, totals, strict=True)
        ]

    def _forward(self, states: list[ArState], number: int) -> tuple[Tensor, list[Tensor]]:
        """One pass for P distinct states: guided logits [P, d, s, s] and the keys and values of this scale."""
        count, side = len(states), SCALES[number]
        grid = self.tokenizer.downsample(torch.stack([state.total for state in states]), side) if number else None
        guided = None if grid is None else grid.repeat(2, 1, 1, 1)  # [2P, d, s, s]
        past = None
        if number:  # [depth, 2, 2P, H, tokens of earlier scales, E], the prompt's half first
            past = torch.cat([torch.stack(part, 3) for part in zip(*(s.past for s in states), strict=True)], 5)
            past = past.flatten(2, 3)
        logits, own = self.model.step(number, guided, _repeat(states[0].context, count), past)
        prompt, empty = logits.transpose(1, 2).unflatten(2, (side, side)).chunk(2)
        segments = own.unflatten(2, (2, count)).unbind(3)
        return empty + self.sampling.cfg[number] * (prompt - empty), list(segments)

    @torch.no_grad()
    def preview(self, states: Sequence[ArState]) -> np.ndarray:
        return to_images(self.tokenizer.decode(torch.stack([state.total for state in states])))

    def freeze(self, state: ArState) -> bytes:
        """The bits, eight a byte, behind the number of scales."""
        flat = [bits.flatten() for bits in state.bits]
        packed = np.packbits(torch.cat(flat).numpy()).tobytes() if flat else b""
        return struct.pack("B", len(state.bits)) + packed

    @torch.no_grad()
    def thaw(self, prompt: str, data: bytes) -> ArState:
        """Replay the forward passes of the frozen bits. Raises ValueError if `data` is not of this model."""
        state, wanted = self.start(prompt), _unpack(data, self.tokenizer.config.bits)
        for number, bits in enumerate(wanted):
            _, [segment] = self._forward([state], number)
            total = state.total + self.tokenizer.code(bits[None], number)[0]
            past = (*state.past, segment) if number < self.num_steps - 1 else ()
            state = ArState(state.context, (*state.bits, bits), total, past)
        return state


def _draw(probability: Tensor, seed: int) -> Tensor:
    """Independent bits of one candidate, [d, s, s] bool; the seed alone decides."""
    noise = torch.rand(probability.shape, generator=torch.Generator().manual_seed(seed))
    return noise < probability


def _repeat(context: TextContext, count: int) -> TextContext:
    """The context of [prompt, empty prompt] for `count` states of each: [prompt * count, empty * count]."""

    def repeat(x: Tensor) -> Tensor:
        return x.repeat_interleave(count, 0)

    text_kv = tuple((repeat(key), repeat(value)) for key, value in context.text_kv)
    return TextContext(*map(repeat, (context.modulation, context.head, context.start)), text_kv, repeat(context.mask))


def _unpack(data: bytes, width: int) -> list[Tensor]:
    scales = SCALES[: data[0]] if data else ()
    sizes = [width * side * side for side in scales]
    if not data or data[0] > len(SCALES) or len(data) != 1 + (sum(sizes) + 7) // 8:
        raise ValueError(f"{len(data)} bytes are not a frozen state of emoji-ar")
    flat = torch.from_numpy(np.unpackbits(np.frombuffer(data[1:], np.uint8))).bool()
    parts = flat[: sum(sizes)].split(sizes)
    return [part.view(width, side, side) for part, side in zip(parts, scales, strict=True)]


@lru_cache(maxsize=1)
def load_tokenizer() -> Tokenizer:
    """The committed tokenizer, one object a process."""
    return load_weights(Tokenizer(), weights_file("tokenizer"))


def load() -> Any:
    """The committed model. Raises WeightsMissing."""
    path = weights_file("next_scale")
    model = load_weights(NextScale(NextScaleConfig(**load_config(path))), path)
    return EmojiAr(model, load_tokenizer())
