"""How fast models run on this machine: a few images made and judged, once a process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock
from time import perf_counter
from typing import Any

from core.search.budget import Cost
from core.search.previews import preview_cost
from core.search.sizing import Speeds

PROBE_FLOPS = 2e12   # a model of which one image costs more is not tried out
IMAGES = 4           # in the batch that is timed

_KNOWN: dict[tuple, Speeds | None] = {}
_LOCK = Lock()


def speeds(generator: Any, verifiers: Mapping[str, Any], prompt: str) -> Speeds | None:
    """FLOPs a second of generator, decoder and all `verifiers` together; None where trying takes too long."""
    key = (generator.name, *sorted(verifiers))
    with _LOCK:
        if key not in _KNOWN:
            _KNOWN[key] = _measured(generator, verifiers, prompt) if _cheap(generator) else None
        return _KNOWN[key]


def _cheap(generator: Any) -> bool:
    return sum(generator.step_cost(step).flops for step in range(generator.num_steps)) <= PROBE_FLOPS


def _measured(generator: Any, verifiers: Mapping[str, Any], prompt: str) -> Speeds:
    count = min(IMAGES, generator.max_batch)
    path = [generator.start(prompt)] * count
    seconds = flops = 0.0
    for step in range(generator.num_steps):
        passes = 1 if step == 0 and step in generator.sharing_steps else count
        spent, path = _timed(generator.step, path, range(step * count, (step + 1) * count))
        seconds, flops = seconds + spent, flops + generator.step_cost(step).flops * passes
    decode, images = _timed(generator.preview, path)
    said = [(verifier.cost, _timed(verifier.score, prompt, list(images))[0]) for verifier in verifiers.values()]
    price = sum((cost for cost, _ in said), Cost()) * count
    return Speeds(
        flops / seconds, preview_cost(generator, generator.num_steps).flops * count / decode,
        price.flops / sum(spent for _, spent in said),
    )


def _timed(call: Callable, *args: Any) -> tuple[float, Any]:
    """(seconds, result) of the quicker of two calls: the first may be setting things up."""
    times = []
    for _ in range(2):
        began = perf_counter()
        result = call(*args)
        times.append(perf_counter() - began)
    return max(min(times), 1e-9), result
