"""What this machine has for real models, found without importing torch: the device, and how much memory is there.

BEAMSCOPE_MEMORY (--memory) is what may be used of it: a number of MiB, or with a unit, such as 12GB.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from core.place import on_zero_gpu, wanted_device, wanted_dtype
from core.search.errors import BadRequest

MEMORY = "BEAMSCOPE_MEMORY"
MEBI = 2**20
UNITS = {"": MEBI, "mib": MEBI, "gib": 2**30, "mb": 10**6, "gb": 10**9}
ZERO_GPU = 70 * 10**9   # bytes of the card that a Space of that kind lends for a call
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class Machine:
    device: str    # kind of device that real models run on: cuda, mps or cpu
    memory: int    # bytes of it; of main memory where it is mps or cpu; 0 where that is not known
    width: int     # bytes of a parameter there

    @property
    def kind(self) -> str:
        return "GPU memory" if self.device == "cuda" else "main memory"


def read_memory(text: str) -> int:
    """Bytes of "8000" (MiB), "12GB" or "16 GiB". Raises BadRequest."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?) ?([a-z]*)", text.strip().lower())
    if not found or found[2] not in UNITS or not float(found[1]):
        raise BadRequest(f"the memory {text!r} is no amount: give MiB, such as 8000, or a unit, such as 12GB")
    return int(float(found[1]) * UNITS[found[2]])


def memory_limit() -> int | None:
    """Bytes that BEAMSCOPE_MEMORY allows; None where it says nothing. Raises BadRequest for what is no amount."""
    text = os.environ.get(MEMORY)
    return read_memory(text) if text else None


def limit_memory(text: str | None) -> None:
    """Set the limit of this process and of those it starts; None leaves what the environment says. Raises BadRequest.

    Where it is set it is also believed to be there, so that a guess that is too low can be corrected.
    """
    if text is not None:
        read_memory(text)
        os.environ[MEMORY] = text
    memory_limit()


def machine() -> Machine:
    """This one. Raises BadRequest for a device, dtype or memory in the environment that is none."""
    wanted, dtype, limit = wanted_device(), wanted_dtype(), memory_limit()
    if on_zero_gpu():
        return Machine("cuda", limit or ZERO_GPU, BYTES.get(dtype, 2))
    device = wanted.partition(":")[0]
    if device == "auto":
        device = "cuda" if _cuda_memory(0) else "mps" if _is_apple() else "cpu"
    memory = _cuda_memory(int(wanted.partition(":")[2] or 0)) if device == "cuda" else _main_memory()
    width = BYTES[dtype] if dtype != "auto" else 2 if device == "cuda" else 4
    return Machine(device, limit or memory, width)


def _is_apple() -> bool:
    return sys.platform == "darwin" and platform.machine() == "arm64"


@cache
def _main_memory() -> int:
    """Bytes, of which a container may have fewer than the machine. 0 where that is not told."""
    try:
        whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):   # Windows
        whole = _windows_memory()
    allowed = [int(text) for path in ("memory.max", "memory/memory.limit_in_bytes")
               if (text := _read(Path("/sys/fs/cgroup") / path)).isdigit()]
    return min([whole, *allowed]) if whole else 0


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _windows_memory() -> int:
    try:
        kilobytes = ctypes.c_ulonglong()
        ctypes.windll.kernel32.GetPhysicallyInstalledSystemMemory(ctypes.byref(kilobytes))   # type: ignore[attr-defined]
        return kilobytes.value * 1024
    except (AttributeError, OSError):
        return 0


@cache
def _cuda_memory(index: int) -> int:
    """Bytes of a CUDA device, asked of its driver; 0 without one, or with a build of torch that cannot use it."""
    return _driver_memory(index) if _torch_has_cuda() else 0


def _torch_has_cuda() -> bool:
    """By the file that says how torch was built."""
    found = find_spec("torch")
    built = _read(Path(found.origin).with_name("version.py")) if found and found.origin else ""
    return bool(re.search(r"^cuda\b[^=]*= *['\"]", built, re.MULTILINE))


class _Memory(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in ("total", "free", "used")]


def _driver_memory(index: int) -> int:
    """Bytes of the device that torch calls cuda:index, by NVML, which makes no context on it."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    try:
        nvml = ctypes.CDLL("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1")
        if nvml.nvmlInit_v2():
            return 0
        device, memory = ctypes.c_void_p(), _Memory()
        name = str(index) if visible is None else visible.split(",")[index].strip()
        by = nvml.nvmlDeviceGetHandleByIndex_v2 if name.isdigit() else nvml.nvmlDeviceGetHandleByUUID
        failed = by(int(name) if name.isdigit() else name.encode(), ctypes.byref(device))
        failed = failed or nvml.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory))
        nvml.nvmlShutdown()
        return 0 if failed else memory.total
    except (OSError, AttributeError, IndexError):
        return 0
