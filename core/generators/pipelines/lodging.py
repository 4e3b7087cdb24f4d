"""Which networks are on the device: all of them, those at work, or a layer at a time.

Weights never change, so that the copies in main memory stay good: a network leaves the device without being copied.
Decoders are small and always there.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import RLock
from typing import Protocol

import torch
from torch import Tensor, nn

from core.generators.room import free_bytes, let_go
from core.machine import memory_limit
from core.models.memory import weights_bytes
from core.search.errors import BadRequest

OFFLOAD = "BEAMSCOPE_OFFLOAD"
CHOICES = ("auto", "none", "model", "sequential")
SPARE = 2e9  # bytes of the device that are left to what is computed, where the choice is automatic

Group = Sequence[nn.Module]  # networks at work at the same time


class Lodging(Protocol):
    """`device_bytes` is the most that the weights of the groups take there at a time."""

    device_bytes: int

    def using(self, group: Group) -> AbstractContextManager:
        """Have a group on the device as long as it works."""


def lodged(groups: Sequence[Group], device: str) -> Lodging:
    """The groups as BEAMSCOPE_OFFLOAD says, or else with as much on the device as it has room for."""
    choice = os.environ.get(OFFLOAD) or "auto"
    if choice not in CHOICES:
        raise BadRequest(f"unknown offload {choice!r}: choose {', '.join(CHOICES)} ({OFFLOAD})")
    if choice == "auto":
        choice = best_choice(groups, _room(device) if device.startswith("cuda") else None)  # others share main memory
    return {"none": Together, "model": InTurns, "sequential": ByLayer}[choice](groups, device)


def best_choice(groups: Sequence[Group], free: float | None) -> str:
    """What a device with so much room allows; None: nothing is gained by leaving it."""
    if free is None or free >= _bytes(groups) + SPARE:
        return "none"
    return "model" if free >= max(weights_bytes(*group) for group in groups) + SPARE else "sequential"


def _room(device: str) -> float:
    """What is free there, and no more than may be used."""
    return min(free_bytes(torch.device(device)), memory_limit() or math.inf)


def _bytes(groups: Sequence[Group]) -> int:
    return weights_bytes(*(network for group in groups for network in group))


class Together:
    """Everything on the device."""

    def __init__(self, groups: Sequence[Group], device: str):
        self.device_bytes = _bytes(groups)
        for group in groups:
            for network in group:
                network.to(device)

    def using(self, group: Group) -> AbstractContextManager:
        return nullcontext()


class InTurns:
    """One group on the device, which stays until another is to work: the encoders are once a prompt.

    Runs in several threads wait for each other's networks.
    """

    def __init__(self, groups: Sequence[Group], device: str):
        self.device_bytes = max(weights_bytes(*group) for group in groups)
        self._device, self._inside, self._at_work = device, (), RLock()
        self._homes = {tuple(group): _tensors(group) for group in groups}

    @contextmanager
    def using(self, group: Group) -> Iterator[None]:
        with self._at_work:
            if self._inside != tuple(group):
                self._swap(tuple(group))
            yield

    def _swap(self, group: Group) -> None:
        for tensor, home in self._homes.get(self._inside, ()):
            tensor.data = home
        let_go()
        self._inside = group
        for tensor, home in self._homes[group]:
            tensor.data = _copied(home, self._device)


def _copied(data: Tensor, device: str) -> Tensor:
    return data.to(device)


def _tensors(group: Group) -> list[tuple[Tensor, Tensor]]:
    """Parameters and buffers of a group, each with its data in main memory."""
    found = {id(t): t for network in group for t in (*network.parameters(), *network.buffers())}
    return [(tensor, tensor.data) for tensor in found.values()]


class ByLayer:
    """Every layer goes to the device for the moment of its own work: slow, and the last resort."""

    def __init__(self, groups: Sequence[Group], device: str):
        from accelerate import cpu_offload

        layers = [layer for group in groups for network in group for layer in network.modules()]
        self.device_bytes = max(sum(tensor.nbytes for tensor in layer.parameters(recurse=False)) for layer in layers)
        for group in groups:
            for network in group:
                cpu_offload(network, torch.device(device), offload_buffers=True)

    def using(self, group: Group) -> AbstractContextManager:
        return nullcontext()
