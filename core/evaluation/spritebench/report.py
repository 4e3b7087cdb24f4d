"""The results of SpriteBench runs as figures with intervals, for one setting and for the difference of two."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.evaluation.statistics import (
    Interval,
    best_of_n,
    cluster_difference,
    cluster_interval,
    corrected_rate,
    in_words,
    pass_at,
    selection_efficiency,
)
from core.search.budget import Cost

METRICS = ("strict", "lenient", "am", "gm", "unclear", "dead_zone")
POOLS = (1, 2, 4, 8, 16, 32, 64)
COSTS = ("nfe", "tokens", "decodes", "images", "verifier_calls", "flops_generator", "flops_decoder", "flops_verifier")
ORACLE = Path(__file__).resolve().parents[3] / "assets" / "results" / "oracle.json"
Results = Sequence[dict[str, Any]]


def report(results: Results) -> dict[str, Any]:
    """All figures of one setting. Rates are means of the tags' means, with clustered bootstrap intervals."""
    ran = [result for result in results if result["error"] is None]
    found: dict[str, Any] = {
        "prompts": len({result["id"] for result in results}), "seeds": len({result["seed"] for result in results}),
        "runs": len(results), "failed": len(results) - len(ran),
        **{metric: cluster_interval(by_tag(results, metric)) for metric in METRICS},
        "tags": {tag: {name: cluster_interval({tag: by_tag(results, name)[tag]}) for name in ("strict", "lenient")}
                 for tag in sorted({result["tag"] for result in results})},
        "splits": {split: cluster_interval(by_tag([r for r in results if r["split"] == split], "strict"))
                   for split in sorted({result["split"] for result in results})},
        "cost": _cost(ran), "selection": _selection(results), "errors": _errors(results),
    }  # fmt: skip
    if ORACLE.exists():
        found["strict_corrected"] = corrected(found["strict"]["mean"])
    return found


def corrected(seen: float) -> float | None:
    """The strict rate behind what the oracle saw, by its known errors; None where these are not known or too many."""
    if not ORACLE.exists():
        return None
    known = json.loads(ORACLE.read_text())
    known = known.get("by_eye", known)  # generated images if people looked at some, else degraded renders
    if known["sensitivity"] + known["specificity"] <= 1:
        return None
    return round(corrected_rate(seen, known["sensitivity"], known["specificity"]), 4)


def by_tag(results: Results, metric: str) -> dict[str, np.ndarray]:
    """tag -> [prompts, seeds], prompts and seeds in order."""
    tags: dict[str, dict[str, dict[int, float]]] = {}
    for result in results:
        tags.setdefault(result["tag"], {}).setdefault(result["id"], {})[result["seed"]] = float(result[metric])
    return {
        tag: np.array([[seeds[seed] for seed in sorted(seeds)] for _, seeds in sorted(prompts.items())])
        for tag, prompts in sorted(tags.items())
    }


def difference(a: Results, b: Results, metric: str = "strict") -> dict[str, float]:
    """a - b on the same prompts and seeds, with its interval and its p (to be given to statistics.holm)."""
    return cluster_difference(by_tag(a, metric), by_tag(b, metric))


def _cost(ran: Results) -> dict[str, float]:
    """Mean amounts of a run; gflop is the total; seconds are the median."""
    if not ran:
        return {}
    costs = [Cost.from_json(result["cost"]) for result in ran]
    means = {name: round(float(np.mean([getattr(cost, name) for cost in costs])), 2) for name in COSTS}
    return means | {
        "gflop": round(float(np.mean([cost.flops for cost in costs])) / 1e9, 3),
        "seconds": round(float(np.median([result["seconds"] for result in ran])), 3),
        "peak_bytes": max(cost.peak_bytes for cost in costs),
    }


def _selection(results: Results) -> dict[str, Any] | None:
    """What the guide makes of the finished images of each run: the strict rate of one of them by chance, of the one
    returned, and of the best there is; the share of that headroom; best of n for every n that all pools hold.

    Means of the tags' means; a run without images counts as wrong here too.
    """
    sizes = [len(result["pool"]) for result in results if result["error"] is None]
    if not sizes or not min(sizes):
        return None

    def rate(of_pool: Callable[[list[float], list[int]], float]) -> Interval:
        told = [result | {"rate": of_pool(*zip(*result["pool"], strict=True)) if not result["error"] else 0.0}
                for result in results]  # fmt: skip
        return cluster_interval(by_tag(told, "rate"))

    single, ceiling = rate(lambda _, outcomes: sum(outcomes) / len(outcomes)), rate(lambda _, outcomes: max(outcomes))
    selected = cluster_interval(by_tag(results, "strict"))
    curve = {}
    for n in (n for n in POOLS if n <= min(sizes)):
        best = rate(lambda scores, outcomes, n=n: best_of_n(scores, outcomes, n))
        reach = rate(lambda _, outcomes, n=n: pass_at(outcomes, n))
        curve[n] = {"best_of_n": best, "pass": reach, "efficiency": _efficiency(best, single, reach)}
    return {
        "single": single, "selected": selected, "pass": ceiling, "efficiency": _efficiency(selected, single, ceiling),
        "pool": round(sum(sizes) / len(sizes), 1), "curve": curve,
    }  # fmt: skip


def _efficiency(selected: Interval, single: Interval, ceiling: Interval) -> float | None:
    share = selection_efficiency(selected["mean"], single["mean"], ceiling["mean"])
    return None if share is None else round(share, 4)


def _errors(results: Results) -> dict[str, int]:
    """What went wrong, and how often."""
    said = [result["error"] for result in results if result["error"]]
    return {error: said.count(error) for error in dict.fromkeys(said)}


def lines(found: dict[str, Any]) -> list[str]:
    """The figures for people."""
    cost, chosen = found["cost"], found["selection"]
    told = [f"{found['prompts']} prompts x {found['seeds']} seeds, {found['failed']} failed and counted as wrong"]
    told += [f"{metric:<13} {in_words(found[metric])}" for metric in METRICS]
    if found.get("strict_corrected") is not None:
        told.append(f"{'strict':<13} {found['strict_corrected']:.3f} corrected for the oracle's errors")
    told += [f"  {tag:<14} strict {in_words(rates['strict'])}  lenient {in_words(rates['lenient'])}"
             for tag, rates in found["tags"].items()]  # fmt: skip
    told += [f"  {split:<14} strict {in_words(rate)}" for split, rate in found["splits"].items()]
    if cost:
        told.append(f"cost of a run  {cost['gflop']:.4g} GFLOP, {cost['nfe']:.4g} NFE, {cost['images']:.4g} images, "
                    f"{cost['seconds']:.3g} s")  # fmt: skip
    if chosen:
        share = "no headroom" if chosen["efficiency"] is None else f"{chosen['efficiency']:.0%} of the headroom"
        told.append(f"selection      single {in_words(chosen['single'])}, selected "
                    f"{in_words(chosen['selected'])}, pass {in_words(chosen['pass'])}: {share}")  # fmt: skip
    return told + [f"error, {times} times: {error}" for error, times in found["errors"].items()]
