"""How fast Infinity is on this machine: python -m core.evaluation.infinity_speed --model infinity-2b --device cuda

Random weights of the true shape: nothing is downloaded, pictures mean nothing, time and memory are the real ones. The
text encoder is left out (once a prompt; features by chance stand for it). Measured: seconds an image at batch 1 and 8
with every scale's share of the device's matrix peak; beam search with preview and with rollout; peak memory against
the forecast. Writes assets/results/infinity_speed.json and .md, each model and device beside the others there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.evaluation.engine import RESULTS
from core.evaluation.engine_memory import RESET, STATUS, resident
from core.evaluation.infinity_speed_page import page
from core.generators.infinity import Infinity
from core.generators.room import free_bytes
from core.models.infinity.checkpoint import dtypes
from core.models.infinity.config import CONFIGS, InfinityConfig
from core.models.infinity.cost import WORDS
from core.models.infinity.thumbnails import Thumbnails
from core.models.infinity.transformer import InfinityTransformer
from core.models.infinity.vae import VAES, Vae
from core.place import DTYPES
from core.search.budget import Cost
from core.search.errors import BeamscopeError, OutOfMemory
from core.search.events import Failed, RunSpec
from core.search.search import Search

BATCHES, WIDTH, BRANCH = (1, 8), 3, 5
PROMPT = "an image"
ROUNDS = {"cpu": 1}  # elsewhere three, of which the middle one counts
SIDE = {"cpu": 2048}  # of the matrices that the peak is measured with; elsewhere 8192
FILE = RESULTS / "infinity_speed.json"


# A model of the true shape


class RandomText:
    """Features by chance in the place of the text encoder's."""

    def __init__(self, width: int, words: int = WORDS):
        self.features = torch.randn(words, width, generator=torch.Generator().manual_seed(0))

    def encode(self, prompts: Sequence[str]) -> list[Tensor]:
        return [self.features] * len(prompts)


def random_infinity(config: InfinityConfig, device: str, dtype: torch.dtype) -> Infinity:
    """The generator as it is loaded, but for what the numbers say; drawn on the device, in no more than its memory."""
    torch.manual_seed(0)
    with torch.device("meta"):
        model, vae = InfinityTransformer(config), Vae(VAES[config.vae], encoder=False)
    slow, robust = device == "cpu", torch.bfloat16 if dtype == torch.float16 else dtype
    filled(model, device, dtypes(model, dtype))
    filled(vae, device, dict.fromkeys(vae.state_dict(), torch.float32 if slow else robust))
    linear = Thumbnails(torch.randn(3, config.latent_channels), torch.zeros(3))
    return Infinity(config, model, vae, RandomText(config.text_dim), thumbnails=linear if slow else None,
                    max_batch=2 if slow else 8)


def filled(module: nn.Module, device: str, become: dict[str, torch.dtype]) -> None:
    """A module on the meta device gets random weights, such that activations stay of order one."""
    weights = {}
    for key, value in module.state_dict().items():
        spread = value[0].numel() ** -0.5 if value.dim() > 1 else 0.02
        weights[key] = torch.randn(value.shape, device=device, dtype=become[key]) * spread + ("norm" in key)
    module.load_state_dict(weights, strict=True, assign=True)
    module.eval().requires_grad_(False)


class Brightness:
    """A guide that costs nothing: what is timed is the generator and its decoder."""

    name, cost, max_batch, weights_bytes, image_bytes = "brightness", Cost(verifier_calls=1), 64, 0, 0

    def score(self, prompt: str, images: np.ndarray) -> list[float]:
        return [float(image.mean()) for image in images]


# Clock and memory


def seconds_of(device: str, call: Any, *args: Any) -> tuple[float, Any]:
    synchronise(device)
    began = perf_counter()
    result = call(*args)
    synchronise(device)
    return perf_counter() - began, result


def synchronise(device: str) -> None:
    if device != "cpu":
        torch.get_device_module(device).synchronize()


@contextmanager
def peak_memory(device: str, weights: int) -> Iterator[dict[str, int]]:
    """Bytes of tensors at the worst moment within it, weights included, under "bytes" afterwards; nothing on a Mac.

    On a CPU it is what the process needed beyond what it held before, so libraries and the interpreter are left out.
    """
    found: dict[str, int] = {}
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        yield found
        found["bytes"] = torch.cuda.max_memory_allocated(device)
    elif device == "cpu" and STATUS.exists():
        floor = resident("VmRSS") - weights
        RESET.write_text("5")  # VmHWM begins anew
        yield found
        found["bytes"] = resident("VmHWM") - floor
    else:
        yield found


def matrix_peak(device: str, dtype: torch.dtype, rounds: int = 15) -> float:
    """FLOPs a second of one large product: what the device can really reach."""
    side = SIDE.get(device, 8192)
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return 2 * side**3 / min(seconds_of(device, torch.matmul, a, b)[0] for _ in range(rounds))


# The measurements


def images(generator: Infinity, device: str, count: int, rounds: int) -> dict[str, Any]:
    """`count` images side by side: seconds of every scale and of decoding, and memory against the forecast."""
    with peak_memory(device, generator.weights_bytes) as memory:
        runs = [_one_run(generator, device, count, seed) for seed in range(rounds)]
    steps = [statistics.median(run[0][step] for run in runs) for step in range(generator.num_steps)]
    decode = statistics.median(run[1] for run in runs)
    passes = [1] + [count] * (generator.num_steps - 1)  # all share the first
    flops = [generator.step_cost(step).flops_generator * times for step, times in enumerate(passes)]
    return {
        "seconds_per_image": (sum(steps) + decode) / count, "step_seconds": steps, "step_flops": flops,
        "decode_seconds": decode, "decode_flops": generator.decode_cost.flops_decoder * count,
        "peak_bytes": memory.get("bytes"), "forecast_bytes": forecast(generator, count),
    }  # fmt: skip


def _one_run(generator: Infinity, device: str, count: int, seed: int) -> tuple[list[float], float]:
    states, times = [generator.start(PROMPT)] * count, []
    for step in range(generator.num_steps):
        seeds = [seed + 1000 * step + number for number in range(count)]
        taken, states = seconds_of(device, generator.step, states, seeds)
        times.append(taken)
    return times, seconds_of(device, generator.preview, states)[0]


def forecast(generator: Infinity, count: int) -> int:
    """Bytes that the planner expects at the worst moment of `count` images side by side, weights included."""
    plan, free = generator.plan, free_bytes(generator.device)

    def passing(step: int) -> int:
        left = None if free is None else max(0, free - count * plan.held(step))
        size = count if left is None else plan.batch(step, count, left + count * plan.segment(step))
        return count * plan.held(step) + size * plan.passing(step)

    passes = [passing(step) for step in range(generator.num_steps)]
    size = count if free is None else min(count, max(1, free // generator.decode_bytes))
    return generator.weights_bytes + max(*passes, size * generator.decode_bytes)


def beam(generator: Infinity, device: str, width: int, branch: int, look: str) -> dict[str, Any]:
    """A whole beam search; what it cost in single images, and memory against the ledger's count."""
    params = {"width": width, "branch": branch, "look": look}
    spec = RunSpec(PROMPT, generator.name, "beam_search", params, Brightness.name)
    search = Search(generator, {Brightness.name: Brightness()}, spec)
    with peak_memory(device, generator.weights_bytes) as memory:
        seconds, events = seconds_of(device, lambda: list(search.run()))
    if isinstance(events[-1], Failed):
        raise OutOfMemory(events[-1].message) if events[-1].code == OutOfMemory.code else BeamscopeError(
            events[-1].message)
    spent, steps = search.tree.spent, map(generator.step_cost, range(generator.num_steps))
    single = sum((cost.flops for cost in steps), generator.decode_cost.flops)
    return {
        "width": width, "branch": branch, "look": look, "seconds": seconds, "nfe": spent.nfe, "decodes": spent.decodes,
        "generator_flops": spent.flops_generator, "decoder_flops": spent.flops_decoder,
        "worth_images": spent.flops / single, "peak_bytes": memory.get("bytes"), "forecast_bytes": spent.peak_bytes,
    }  # fmt: skip


def measure(
    name: str, device: str, dtype: torch.dtype, batches: Sequence[int] = BATCHES, looks: Sequence[str] = (),
    width: int = WIDTH, branch: int = BRANCH,
) -> Iterator[dict[str, Any]]:
    """Everything that was measured so far, after each measurement. What does not fit into memory says so."""
    generator = random_infinity(CONFIGS[name], device, dtype)
    found: dict[str, Any] = {
        "model": name, "machine": machine(device, dtype), "matrix_peak": matrix_peak(device, dtype),
        "weights_bytes": generator.weights_bytes, "labels": generator.step_labels, "tokens": generator.schedule.tokens,
        "images": {}, "beams": {},
    }  # fmt: skip
    _one_run(generator, device, 1, 0)  # warms up
    rounds = ROUNDS.get(device, 3)
    parts = [("images", str(count), images, (count, rounds)) for count in batches]
    parts += [("beams", look, beam, (width, branch, look)) for look in looks]
    for kind, title, call, settings in parts:
        found[kind][title] = _or_too_large(call, generator, device, *settings)
        found["matrix_peak"] = max(found["matrix_peak"], matrix_peak(device, dtype))  # of a machine with other work
        yield found


def _or_too_large(call: Any, *args: Any) -> dict[str, Any]:
    try:
        return call(*args)
    except OutOfMemory as error:
        return {"too_large": str(error)}


def machine(device: str, dtype: torch.dtype) -> dict[str, Any]:
    """On what the figures were taken."""
    told = {"device": device, "name": _name(device), "dtype": str(dtype).removeprefix("torch."),
            "torch": torch.__version__}
    return told | ({"threads": torch.get_num_threads(), "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}
                   if device == "cpu" else {})


def _name(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def keep(found: dict[str, Any], path: Path = FILE) -> None:
    """The figures into the file, beside others; of the same model on the same device a part replaces the same part."""
    runs = json.loads(path.read_text()) if path.exists() else {}
    key = f"{found['model']} on {found['machine']['name']} in {found['machine']['dtype']}"
    before = runs.get(key, {"matrix_peak": 0})
    peak = max(before["matrix_peak"], found["matrix_peak"])
    merged = {part: before.get(part, {}) | found[part] for part in ("images", "beams")}
    runs[key] = found | merged | {"matrix_peak": peak}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(runs, indent=1) + "\n")
    path.with_suffix(".md").write_text(page(runs))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", choices=list(CONFIGS), default="infinity-125m")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 or mps")
    parser.add_argument("--dtype", choices=DTYPES, help="of the blocks; bfloat16 on cuda, float32 elsewhere")
    parser.add_argument("--batch", type=int, nargs="*", default=BATCHES, help="images side by side")
    parser.add_argument("--look", nargs="*", choices=("preview", "rollout"), default=("preview", "rollout"))
    parser.add_argument("--width", type=int, default=WIDTH)
    parser.add_argument("--branch", type=int, default=BRANCH)
    args = parser.parse_args(arguments)
    dtype = args.dtype or ("bfloat16" if args.device.startswith("cuda") else "float32")
    found = measure(args.model, args.device, getattr(torch, dtype), args.batch, args.look, args.width, args.branch)
    for so_far in found:
        keep(so_far)
    print(page({f"{args.model} on {args.device}": so_far}))


if __name__ == "__main__":
    main()
