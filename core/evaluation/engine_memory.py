"""Peak memory of one search in a process of its own: python -m core.evaluation.engine_memory WIDTH BRANCH

Linux only: reads VmHWM, the most memory that was resident at once, which the kernel resets on request. Prints JSON.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

THRIFTY = {"MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_MMAP_THRESHOLD_": "131072"}   # glibc's defaults, but held
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def memory(width: int = 8, branch: int = 8, rounds: int = 3) -> dict[str, Any]:
    """What `measured` finds in fresh processes, the middle one by ratio, and the ratios of all.

    "thrifty" are those with an allocator that gives memory back at once: the search itself, less the allocator's keep.
    """
    found, thrifty = (
        sorted((_measured_apart(width, branch, settings) for _ in range(rounds)), key=lambda one: one["ratio"])
        for settings in ({}, THRIFTY)
    )
    ratios = {"ratios": [one["ratio"] for one in found], "thrifty": [one["ratio"] for one in thrifty]}
    return found[rounds // 2] | ratios


def _measured_apart(width: int, branch: int, settings: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "core.evaluation.engine_memory", str(width), str(branch)]
    environment = {**os.environ, **settings, "OMP_NUM_THREADS": "2"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the measurement of memory failed: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout)


def measured(width: int, branch: int) -> dict[str, Any]:
    """Bytes of a beam search with previews: the process's peak, and the parts that the engine accounts for.

    The floor is what the process holds when it has imported everything and has run a search of one candidate, less the
    weights: interpreter, libraries, kernels that were compiled.
    """
    from core.evaluation.engine_timing import Bench

    warm, bench = Bench({"width": 1, "branch": 1}), Bench({"width": width, "branch": branch})
    prompt = bench.spec.prompt
    weights = sum(one.weights_bytes for one in (bench.generator, *bench.verifiers.values()))
    warm.run(prompt)
    floor = resident("VmRSS") - weights
    RESET.write_text("5")  # VmHWM begins anew
    _, search = bench.run(prompt)
    peak, counted = resident("VmHWM") - floor, search.tree.spent.peak_bytes
    return {
        "width": width, "branch": branch, "peak": peak, "counted": counted, "weights": weights, "floor": floor,
        "live and batch": counted - weights, "ratio": round(peak / counted, 4),
    }  # fmt: skip


def resident(field: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    print(json.dumps(measured(*map(int, sys.argv[1:3]))))
