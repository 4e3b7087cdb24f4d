"""Keys and values of candidates that wait, in main memory, where a GPU is too small for those of all candidates.

A pass reads them from there layer by layer, so that a search goes on where it would have ended, only more slowly.
"""

from collections.abc import Container, Iterable
from weakref import WeakSet

import torch

from core.generators.room import free_bytes
from core.models.infinity.kv import Segment

SPARE = 2 * 10**9  # bytes left to verifiers, which work on the same device


class Parking:
    """Segments of live states on a GPU, and which of them are sent away when room is short."""

    def __init__(self, device: torch.device):
        self.device = device
        self._here: WeakSet[Segment] = WeakSet()

    def add(self, segments: Iterable[Segment | None]) -> None:
        """New ones, on the device; None where nothing is kept."""
        if self.device.type == "cuda":
            self._here.update(segment for segment in segments if segment)

    def make_room(self, wanted: int, needed: Container[Segment] = ()) -> None:
        """Park as few as do for `wanted` free bytes, those that are `needed` next only after all others."""
        if not self._here:
            return
        short = wanted + SPARE - free_bytes(self.device)
        for segment in sorted(self._here, key=lambda one: (one in needed, -one.kv.nbytes)):
            if short <= 0:
                return
            short -= segment.kv.nbytes
            segment.park()
            self._here.discard(segment)
