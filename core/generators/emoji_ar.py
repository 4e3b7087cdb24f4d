"""`emoji-ar`: the embedded next-scale model as a generator. One step decides all bits of one grid.

The bits of a scale do not enter its own keys and values, so siblings differ only in the draw: `step` runs one
forward pass for every distinct state it is given and draws as often as it is asked (Infinity, Han et al. 2025).
A scale's keys and values are a segment, linked to the segment before it; states share segments, never copy them,
and a batch is gathered only when a pass needs it.

Letters: P distinct states, 2 guided halves (prompt, empty prompt), d bits, s side of a scale, h latent side.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from core.generators.looks import signature
from core.models.memory import held_bytes, weights_bytes
from core.models.next_scale import NextScale, NextScaleConfig, TextContext
from core.models.text import NOMINAL_WORDS, tokenise
from core.models.tokenizer import SCALES, Tokenizer
from core.models.weights import load_config, load_weights, to_images, weights_file
from core.search.budget import Cost

DECODE_FLOPS = 1_017_905_152.0  # of one 128 px image; a test holds it against torch's own counter
DECODE_BYTES = 3 * 2**19  # working memory of one, measured
BLOCK_WIDTHS = 22  # numbers that a block holds at most at a time, in widths a token, measured


@dataclass(frozen=True)
class Sampling:
    """How bits are drawn at each scale. The best of the trials in assets/results/tune.json."""

    cfg: tuple[float, ...] = (1.5, 1.75, 2.0, 2.5, 3.0, 3.5)  # guidance scale
    tau: tuple[float, ...] = (0.9, 0.9, 0.8, 0.7, 0.5, 0.4)  # temperature of the bits


@dataclass(frozen=True, eq=False)
class Segment:
    """Keys and values of one scale in a storage of their own; the chain of parents is the cache of a state."""

    parent: "Segment | None"
    kv: Tensor  # [depth, 2, 2, H, n, E]

    def chain(self) -> "list[Segment]":
        """The first scale's segment first, this one last."""
        return [*(self.parent.chain() if self.parent else ()), self]


@dataclass(frozen=True, eq=False)
class ArState:
    """A prefix: the bits so far, their running sum, and the keys and values of its scales, shared with siblings.

    Its tensors are no views of a batch, so that dropping a state frees at once what only it used.
    """

    context: TextContext  # of [prompt, empty prompt]; one object for the whole run
    bits: tuple[Tensor, ...]  # one [d, s, s] per scale
    total: Tensor  # [d, h, h]
    past: Segment | None = None  # of the last scale taken; nothing reads those of the last scale of all

    def tensors(self) -> Iterator[Tensor]:
        """All that it holds."""
        context = self.context
        yield from (self.total, *self.bits, context.modulation, context.head, context.start, context.mask)
        yield from (part for pair in context.text_kv for part in pair)
        yield from (segment.kv for segment in (self.past.chain() if self.past else ()))


class EmojiAr:
    """The generator; see core/generators/base.py for the contract."""

    name = "emoji-ar"
    num_steps = len(SCALES)
    step_labels = tuple(f"{side}x{side}" for side in SCALES)
    branching_steps = sharing_steps = frozenset(range(len(SCALES)))
    abilities = frozenset({"branches", "signature"})
    start_cost = Cost()  # reading the prompt is part of step 0
    decode_cost = Cost(flops_decoder=DECODE_FLOPS, decodes=1)
    decode_bytes = DECODE_BYTES
    max_batch = 8  # 36 ms to decode, 53 ms for the last scale on two cores; more at once is no quicker

    def __init__(self, model: NextScale, tokenizer: Tokenizer, sampling: Sampling | None = None):
        self.model, self.tokenizer, self.sampling = model, tokenizer, sampling or Sampling()
        self.weights_bytes = weights_bytes(model, tokenizer)

    @torch.no_grad()
    def start(self, prompt: str) -> ArState:
        side, bits = SCALES[-1], self.tokenizer.config.bits
        return ArState(self.model.read(tokenise([prompt, ""])), (), torch.zeros(bits, side, side))

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
        drawn = [_draw(probabilities[r], seed) for r, seed in zip(rows, seeds, strict=True)]
        codes = self.tokenizer.code(torch.stack(drawn), number)
        return [
            ArState(s.context, (*s.bits, bits), s.total + code, segments[r])
            for s, r, bits, code in zip(states, rows, drawn, codes, strict=True)
        ]

    def _forward(self, states: list[ArState], number: int) -> tuple[Tensor, list[Segment | None]]:
        """One pass for P distinct states: guided logits [P, d, s, s], and the segment that this scale adds to each."""
        count, side = len(states), SCALES[number]
        grid = self.tokenizer.downsample(torch.stack([state.total for state in states]), side) if number else None
        guided = None if grid is None else grid.repeat(2, 1, 1, 1)  # [2P, d, s, s], the prompt's half first
        cache = self.model.cache(number, 2 * count)  # [depth, 2, 2P, H, tokens of all scales so far, E]
        rows = cache.unflatten(2, (2, count)).unbind(3)
        for row, state in zip(rows, states, strict=True):
            _gather(row, state.past)
        logits = self.model.step(number, guided, _repeat(states[0].context, count), cache)
        prompt, empty = logits.transpose(1, 2).unflatten(2, (side, side)).chunk(2)
        mixed = empty + self.sampling.cfg[number] * (prompt - empty)
        if number == self.num_steps - 1:  # nothing will read its keys and values
            return mixed, [None] * count
        own = [row[..., -(side**2) :, :].clone() for row in rows]
        return mixed, [Segment(state.past, kv) for state, kv in zip(states, own, strict=True)]

    @torch.no_grad()
    def preview(self, states: Sequence[ArState]) -> np.ndarray:
        return to_images(self.tokenizer.decode(torch.stack([state.total for state in states])))

    @torch.no_grad()
    def signature(self, states: Sequence[ArState]) -> list[list[float]]:
        return signature(torch.stack([state.total for state in states]))

    def held_bytes(self, states: Sequence[ArState]) -> int:
        return held_bytes(tensor for state in states for tensor in state.tensors())

    def step_bytes(self, step: int) -> int:
        """The gathered cache, the text's keys and values, and what a block computes, for both guided halves."""
        width, seen = self.model.config.width, sum(side**2 for side in SCALES[: step + 1])
        return 8 * width * (2 * self.model.config.depth * (seen + NOMINAL_WORDS) + BLOCK_WIDTHS * SCALES[step] ** 2)

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
            _, [past] = self._forward([state], number)
            total = state.total + self.tokenizer.code(bits[None], number)[0]
            state = ArState(state.context, (*state.bits, bits), total, past)
        return state


def _draw(probability: Tensor, seed: int) -> Tensor:
    """Independent bits of one candidate, [d, s, s] bool; the seed alone decides."""
    noise = torch.rand(probability.shape, generator=torch.Generator().manual_seed(seed))
    return noise < probability


def _gather(row: Tensor, past: Segment | None) -> None:
    """Copy the chain of segments to the front of one state's row of the cache."""
    start = 0
    for segment in past.chain() if past else ():
        stop = start + segment.kv.shape[-2]
        row[..., start:stop, :] = segment.kv
        start = stop


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


def load() -> EmojiAr:
    """The committed model. Raises WeightsMissing."""
    path = weights_file("next_scale")
    model = load_weights(NextScale(NextScaleConfig(**load_config(path))), path)
    return EmojiAr(model, load_tokenizer())
