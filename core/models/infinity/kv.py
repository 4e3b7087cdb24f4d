"""Keys and values of earlier scales: one segment a scale, shared by all states that grew from it.

A state knows its last segment, and through it the chain of those before. A forward pass gathers one layer at a time
into a batch, so that the whole cache of a batch never exists twice; segments may therefore wait in main memory.

Letters: G guided halves, B beams, H heads, n tokens of a scale, P tokens of the scales before, E head width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(eq=False)
class Segment:
    """One scale of one state, in a storage of its own, on the device or parked. Its numbers never change."""

    parent: Segment | None
    kv: Tensor  # [depth, 2, G, H, n, E]

    def chain(self) -> list[Segment]:
        """The first scale's segment first, this one last."""
        return [*(self.parent.chain() if self.parent else ()), self]

    def park(self) -> None:
        """To main memory. Passes go on reading it, at the speed of the way there."""
        self.kv = self.kv.to("cpu")


def chain(past: Segment | None) -> list[Segment]:
    return past.chain() if past else []


class KVBatch:
    """The caches of B states during one forward pass over the next scale.

    With `keep`, what the pass computes becomes a segment of each state; nothing reads those of the last scale.
    """

    def __init__(self, pasts: Sequence[Segment | None], depth: int, keep: bool = True):
        self._pasts, self._depth, self._keep = list(pasts), depth, keep
        self._columns = list(zip(*map(chain, pasts), strict=True))  # per scale, one segment a state
        self._own: list[Tensor] = []

    @property
    def count(self) -> int:
        return len(self._pasts)

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Own keys and values [G * B, H, n, E] of a layer -> those of all scales so far [G * B, H, P + n, E]."""
        own = torch.stack([key, value]).unflatten(1, (-1, len(self._pasts)))  # [2, G, B, H, n, E]
        if self._keep:
            self._store(layer, own)
        if not self._columns:
            return key, value
        whole = self._gather(layer, own)
        return whole[0].flatten(0, 1), whole[1].flatten(0, 1)

    def _store(self, layer: int, own: Tensor) -> None:
        if not self._own:
            shape = (self._depth, *own.shape[:2], *own.shape[3:])
            self._own = [own.new_empty(shape) for _ in self._pasts]
        for kv, row in zip(self._own, own.unbind(2), strict=True):
            kv[layer] = row

    def _gather(self, layer: int, own: Tensor) -> Tensor:
        """[2, G, B, H, P + n, E]; a segment that all states share is spread in one copy."""
        seen = sum(column[0].kv.shape[-2] for column in self._columns)
        whole = own.new_empty((*own.shape[:4], seen + own.shape[4], own.shape[5]))
        start = 0
        for column in self._columns:
            room = whole[..., start : start + column[0].kv.shape[-2], :]
            if len(set(map(id, column))) == 1:
                room.copy_(column[0].kv[layer][:, :, None].expand_as(room))
            else:
                torch.stack([segment.kv[layer].to(room.device) for segment in column], 2, out=room)
            start += room.shape[-2]
        whole[..., start:, :] = own
        return whole

    def segments(self) -> list[Segment | None]:
        """After the pass: the new last segment of every state, or None where nothing is kept."""
        if not self._keep:
            return [None] * len(self._pasts)
        return [Segment(past, kv) for past, kv in zip(self._pasts, self._own, strict=True)]
