"""The work of the headline: a pool of samples of one prompt, or one search, looked at by the oracle. In numbers.

Functions of their arguments that other processes can import. Whatever goes wrong with an image, it counts as wrong and
stays in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from time import monotonic, perf_counter
from typing import Any

import numpy as np

from core.evaluation.held_out_b import load_b
from core.evaluation.oracle.check import FAILED, Verdict, check
from core.evaluation.oracle.oracle import load_oracle
from core.evaluation.spritebench.rows import Row
from core.generators.registry import load_generator
from core.search.budget import Cost
from core.search.errors import WeightsMissing
from core.search.events import Finished, RunSpec, Scored
from core.search.search import Search
from core.verifiers.registry import load_verifier

TIME_LIMIT = 600.0  # s a run; one that takes longer is stopped and counts as wrong
BATCH = 8  # images that are scored at once where a verifier does not say
BITS = ("strict", "lenient", "gm", "unclear", "dead_zone")
Images = dict[int, np.ndarray]


class Unscored:
    """Guides nothing and costs nothing: for pools, whose images every verifier scores afterwards."""

    name, cost, max_batch, weights_bytes, image_bytes = "unscored", Cost(), 64, 0, 0

    def score(self, prompt: str, images: Sequence[Any]) -> list[float]:
        return [0.0] * len(images)


@lru_cache(maxsize=1)
def held_out_b() -> Any | None:
    """The verifier that guides no search, None where its weights are not there."""
    try:
        return load_b()
    except WeightsMissing:
        return None


def finished_images(search: Search) -> Images:
    """Run a search to its end; every finished image that its guide saw, by node. Raises RuntimeError if it fails."""
    images: Images = {}
    for event in search.run():
        if isinstance(event, Scored) and event.finished:
            images |= event.images
    end = search.tree.end
    if not isinstance(end, Finished):
        raise RuntimeError(getattr(end, "message", f"stopped after {TIME_LIMIT:g} s"))
    return images


def searched(spec: RunSpec, verifier: Any) -> tuple[Search, Images]:
    end_by = monotonic() + TIME_LIMIT
    generator = load_generator(spec.generator)
    search = Search(generator, {verifier.name: verifier}, spec, cancelled=lambda: monotonic() > end_by, display=False)
    return search, finished_images(search)


def scores_of(verifier: Any, prompt: str, images: Sequence[np.ndarray]) -> list[float]:
    most = getattr(verifier, "max_batch", BATCH)
    batches = (images[start : start + most] for start in range(0, len(images), most))
    scores = [float(score) for batch in batches for score in verifier.score(prompt, np.stack(batch))]
    if len(scores) != len(images) or not all(map(math.isfinite, scores)):
        raise ValueError(f"verifier {verifier.name} gave {scores} for {len(images)} images: one finite number each")
    return [round(score, 5) for score in scores]


def _b_scores(prompt: str, images: Sequence[np.ndarray]) -> list[float] | None:
    """None also where it fails: it only looks on."""
    b = held_out_b()
    return _failing(lambda: {"scores": scores_of(b, prompt, images)}).get("scores") if b else None


def _told(verdict: Verdict) -> dict[str, Any]:
    facts = {"strict": verdict.strict, "lenient": verdict.lenient, "gm": verdict.geometric,
             "unclear": verdict.unclear, "dead_zone": verdict.dead_zone}  # fmt: skip
    return {name: int(fact) for name, fact in facts.items()} | {"am": round(verdict.mean, 4)}


def _failing(work: Callable[..., dict], *args: Any) -> dict[str, Any]:
    """The result, or what went wrong. Lets only a person's Ctrl-C through."""
    try:
        return work(*args) | {"error": None}
    except Exception as error:  # whatever it is, the image is not there
        return {"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]}


# Searches


def search_run(spec: RunSpec, row: Row) -> dict[str, Any]:
    """One search: how the image that it returns fares, and whether any of its finished leaves is right (`reach`)."""
    failed = _told(FAILED) | {"reach": 0, "leaves": 0, "b": None, "cost": {}, "seconds": None}
    return failed | _failing(_search_run, spec, row)


def _search_run(spec: RunSpec, row: Row) -> dict[str, Any]:
    search, images = searched(spec, load_verifier(spec.verifier))
    tree = search.tree
    leaves = [node for node in images if tree.nodes[node].step == tree.num_steps]
    looked_at = list(dict.fromkeys([tree.end.node, *leaves]))
    readings = load_oracle().read([images[node] for node in looked_at])
    verdicts = [check(reading, row.scene) for reading in readings]
    b = _b_scores(row.prompt, [images[tree.end.node]])
    return _told(verdicts[0]) | {
        "reach": int(any(verdict.strict for verdict in verdicts)), "leaves": len(leaves), "b": b and b[0],
        "cost": tree.spent.to_json(), "seconds": round(tree.seconds, 3),
    }  # fmt: skip


# Pools: random search under all verifiers at once, since its samples do not depend on who will choose


def pool_run(generator: str, row: Row, seed: int, n: int, verifiers: Sequence[str]) -> dict[str, Any]:
    """`n` samples as `random_search` draws them: their verdicts, and their scores by every verifier.

    Bits are written as one string, a character a sample. The scores of a verifier that fails are None: what it would
    have chosen counts as wrong.
    """
    failed: dict[str, Any] = {name: "0" * n for name in BITS} | {"am": [0.0] * n, "b": None, "seconds": {}}
    failed |= {"scores": dict.fromkeys(verifiers), "errors": {}}
    return failed | _failing(_pool_run, generator, row, seed, n, verifiers)


def _pool_run(generator: str, row: Row, seed: int, n: int, verifiers: Sequence[str]) -> dict[str, Any]:
    spec = RunSpec(row.prompt, generator, "random_search", {"n": n}, Unscored.name, seed=seed)
    search, by_node = searched(spec, Unscored())
    images = list(by_node.values())
    told = [_told(check(reading, row.scene)) for reading in load_oracle().read(images)]
    found: dict[str, Any] = {name: "".join(str(one[name]) for one in told) for name in BITS}
    found |= {"am": [one["am"] for one in told], "b": _b_scores(row.prompt, images)}
    seconds, scores, errors = {"sampling": round(search.tree.seconds, 3)}, {}, {}
    for name in verifiers:
        began = perf_counter()
        said = _failing(lambda name=name: {"scores": scores_of(load_verifier(name), row.prompt, images)})
        scores[name], seconds[name] = said.get("scores"), round(perf_counter() - began, 3)
        if said["error"]:
            errors[name] = said["error"]
    return found | {"scores": scores, "seconds": seconds, "errors": errors}
