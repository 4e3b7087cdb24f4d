"""How much memory a device has left, and calls that are made smaller until they fit into it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import torch

from core.search.errors import is_out_of_memory

T, R = TypeVar("T"), TypeVar("R")


def free_bytes(device: torch.device) -> int | None:
    """What could be allocated there now; None where nobody tells."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # by torch, for what comes next
        return torch.cuda.mem_get_info(device)[0] + kept
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return _free_main_memory()


def _free_main_memory() -> int | None:
    """Of the machine, or of the container that this runs in, which may have less."""
    told = dict(line.split(":", 1) for line in _lines("/proc/meminfo"))
    free = [int(told["MemAvailable"].split()[0]) * 1024] if "MemAvailable" in told else []
    limit, used = (_lines(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    if limit and limit[0].isdigit() and used:
        cached = dict(line.split() for line in _lines("/sys/fs/cgroup/memory.stat")).get("inactive_file", "0")
        free.append(int(limit[0]) - int(used[0]) + int(cached))
    return min(free) if free else None


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def in_parts(call: Callable[[Sequence[T]], list[R]], items: Sequence[T], size: int) -> list[R]:
    """call(items), at most `size` at a time, and half as many whenever memory does not do.

    Raises what the call raises where a single one is too many.
    """
    results: list[R] = []
    while len(results) < len(items):
        part = items[len(results) : len(results) + size]
        try:
            results += call(part)
            continue
        except Exception as error:
            if len(part) == 1 or not is_out_of_memory(error):
                raise
        size = len(part) // 2  # here, where the error no longer holds on to what filled the memory
        let_go()
    return results


def let_go() -> None:
    """Give back what torch keeps of freed memory: in pieces it may not do for one large tensor."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
