"""Where real models run, and in which numbers: BEAMSCOPE_DEVICE and BEAMSCOPE_DTYPE, else the best that is there.

The embedded models are small and stay on the CPU in float32.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from core.search.errors import BadRequest

DEVICE, DTYPE = "BEAMSCOPE_DEVICE", "BEAMSCOPE_DTYPE"
DEVICES = "auto, cpu, mps, cuda or one of several such as cuda:1"
DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Place:
    device: str   # "cpu", "mps", "cuda", "cuda:1"
    dtype: str    # one of DTYPES, a name in torch


def choose(device: str | None, dtype: str | None) -> None:
    """Set the place of this process and of those it starts; None leaves what the environment says.

    Raises BadRequest for what is no place, here or in the environment. Whether the device is there is told by `place`.
    """
    for variable, value in ((DEVICE, device), (DTYPE, dtype)):
        if value is not None:
            os.environ[variable] = value
    wanted_device()
    wanted_dtype()


def place() -> Place:
    """Raises BadRequest for a device that this machine has not, or a name that is none."""
    device = wanted_device()
    device = _best_device() if device == "auto" else _there(device)
    usual = "bfloat16" if device.startswith("cuda") or on_zero_gpu() else "float32"
    dtype = wanted_dtype()
    return Place(device, usual if dtype == "auto" else dtype)


def on_zero_gpu() -> bool:
    """Whether this is a Space whose GPU is lent call by call (demo/zero_gpu.py); between calls there is none."""
    return bool(os.environ.get("SPACES_ZERO_GPU"))


def wanted_device() -> str:
    device = os.environ.get(DEVICE) or "auto"
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise BadRequest(f"unknown device {device!r}: choose {DEVICES} (--device or {DEVICE})")
    return device


def wanted_dtype() -> str:
    dtype = os.environ.get(DTYPE) or "auto"
    if dtype not in ("auto", *DTYPES):
        raise BadRequest(f"unknown dtype {dtype!r}: choose auto, {', '.join(DTYPES)} (--dtype or {DTYPE})")
    return dtype


def _best_device() -> str:
    import torch

    if on_zero_gpu():
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _there(device: str) -> str:
    import torch

    if device == "mps" and not torch.backends.mps.is_available():
        raise BadRequest("there is no mps device here, which Macs with Apple silicon have: choose auto, cpu or cuda")
    if device.startswith("cuda"):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(device.partition(":")[2] or 0) >= count:
            found = f"torch {torch.__version__} sees {count} CUDA device{'s' * (count != 1)}"
            raise BadRequest(f"there is no {device} here, {found}: choose auto or cpu, or a build of torch with CUDA")
    return device
