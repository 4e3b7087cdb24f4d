"""From results to figures: curves of random search from pools, searches beside them at the GFLOP that they spent.

The unit is (prompt, seed); rates are means of the tags' means with clustered bootstrap intervals. A difference to best
of n is one at equal total GFLOP: best of n is mixed from the two n whose prices lie around what the search spent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from math import comb
from typing import Any

import numpy as np

from core.evaluation.headline.plan import COMPARISONS, POOLS, Comparison, Line, Plan, Setting, at
from core.evaluation.spritebench.report import corrected
from core.evaluation.spritebench.rows import Row
from core.evaluation.statistics import (
    ByTag,
    Interval,
    cluster_difference,
    cluster_interval,
    holm,
    selection_efficiency,
)
from core.search.budget import GIGA, Cost

BAND = (0.35, 0.75)  # of single samples' strict rate: outside it search has little to repair or little to choose from
Results = Mapping[tuple[str, int], Mapping[str, Any]]  # by row's id and seed


@cache
def _chances(size: int) -> np.ndarray:
    """[n - 1, i]: the chance that the i-th best of a pool is the best of n drawn from it."""
    return np.array([[comb(size - i - 1, n - 1) / comb(size, n) for i in range(size)] for n in range(1, size + 1)])


def pool_curve(scores: Sequence[float], outcomes: Sequence[float]) -> np.ndarray:
    """Expected outcome of the best-scored of 1, 2, ..., all samples of a pool, exactly (statistics.best_of_n)."""
    scores, outcomes = np.asarray(scores, float), np.asarray(outcomes, float)
    _, which = np.unique(-scores, return_inverse=True)
    shared = np.bincount(which, outcomes) / np.bincount(which)  # equal scores share their outcomes
    return _chances(len(scores)) @ shared[np.sort(which)]


def _bits(text: str) -> np.ndarray:
    return np.array([int(bit) for bit in text], float)


@dataclass(frozen=True, eq=False)
class Outcomes:
    """All results of a plan on some rows and seeds, as arrays with one value a unit: seeds within prompts."""

    plan: Plan
    rows: Sequence[Row]
    seeds: int
    pools: Mapping[str, Results]  # by generator
    searches: Mapping[str, Results]  # by setting's name
    _curves: dict = field(default_factory=dict)

    @property
    def units(self) -> list[tuple[str, int]]:
        return [(row.id, seed) for row in self.rows for seed in range(self.seeds)]

    def by_tag(self, values: np.ndarray, only: str | None = None) -> dict[str, np.ndarray]:
        """Values of units -> tag -> [prompts, seeds]."""
        grid = np.asarray(values, float).reshape(len(self.rows), self.seeds)
        tags = np.array([row.tag for row in self.rows])
        return {tag: grid[tags == tag] for tag in sorted(set(tags)) if only in (None, tag)}

    def interval(self, values: np.ndarray) -> Interval:
        return cluster_interval(self.by_tag(values))

    def mean(self, values: np.ndarray) -> float:
        return float(np.mean([np.mean(of_tag) for of_tag in self.by_tag(values).values()]))

    # Pools

    def curve(self, generator: str, verifier: str, metric: str = "strict") -> np.ndarray:
        """[units, n]: what best of 1, 2, ... is expected to give."""
        key = generator, verifier, metric
        if key not in self._curves:
            pools = [self.pools[generator][unit] for unit in self.units]
            self._curves[key] = np.stack([self._of_pool(pool, verifier, metric) for pool in pools])
        return self._curves[key]

    def _of_pool(self, pool: Mapping[str, Any], verifier: str, metric: str) -> np.ndarray:
        strict, scores = _bits(pool["strict"]), pool["scores"][verifier]
        if metric == "reach":
            return pool_curve(strict, strict)
        if scores is None:  # the verifier, or the pool, failed: whatever n, there is no image
            return np.full(len(strict), np.nan if metric == "b" else 0.0)
        if metric == "b":
            return np.full(len(strict), np.nan) if pool["b"] is None else pool_curve(scores, pool["b"])
        return pool_curve(scores, _bits(pool[metric]))

    def mixed(self, generator: str, verifier: str, flops: float, metric: str = "strict") -> np.ndarray | None:
        """[units]: random search at that price. None where it pays for no image."""
        found = at(flops, self.plan.prices[generator, verifier])
        if found is None:
            return None
        n, m, share = found
        curve = self.curve(generator, verifier, metric)
        return (1 - share) * curve[:, n - 1] + share * curve[:, m - 1]

    def samples(self, generator: str, metric: str) -> np.ndarray:
        """[units]: the mean over the pool's samples, none of them chosen."""
        pools = (self.pools[generator][unit][metric] for unit in self.units)
        return np.array([np.mean(_bits(pool) if isinstance(pool, str) else pool) for pool in pools])

    # Searches

    def found(self, setting: Setting, metric: str = "strict") -> np.ndarray:
        """[units]"""
        values = (self.searches[setting.name][unit][metric] for unit in self.units)
        return np.array([np.nan if value is None else value for value in values], float)

    def spent(self, setting: Setting) -> Cost:
        """The mean cost of its runs; the planned one if all failed."""
        costs = [Cost.from_json(run["cost"]) for run in self.searches[setting.name].values() if run["error"] is None]
        return sum(costs, Cost()) * (1 / len(costs)) if costs else setting.cost

    def b_scale(self) -> tuple[np.ndarray, float] | None:
        """(mean of every unit, spread within units) of the held-out verifier on single samples of the first generator.

        None where it has not looked at every pool.
        """
        pools = [self.pools[self.plan.generators[0]][unit] for unit in self.units]
        if any(pool["b"] is None and pool["error"] is None for pool in pools) or all(p["error"] for p in pools):
            return None
        means = np.array([np.nan if pool["b"] is None else np.mean(pool["b"]) for pool in pools])
        spread = float(np.sqrt(np.mean([np.var(pool["b"]) for pool in pools if pool["b"]])))
        return means, spread or 1.0


# The table


def table(outcomes: Outcomes) -> list[dict[str, Any]]:
    """A row for each setting: single samples, best of n at every budget, searches."""
    plan = outcomes.plan
    rows = [_single_row(outcomes, name) for name in plan.generators]
    for verifier in plan.verifiers:
        for line in (line for line in POOLS if line.generator in plan.generators):
            rows += [row for budget in plan.budgets if (row := _random_row(outcomes, line, verifier, budget))]
        rows += [_search_row(outcomes, s) for s in plan.settings if s.verifier == verifier]
    return rows


def _single_row(outcomes: Outcomes, name: str) -> dict[str, Any]:
    price = outcomes.plan.prices[name, outcomes.plan.verifiers[0]][0]
    pools = outcomes.pools[name]
    seconds = [pool["seconds"]["sampling"] / len(pool["strict"]) for pool in pools.values() if pool["seconds"]]
    scale = outcomes.b_scale()
    b = None if scale is None else np.array([np.nan if pools[u]["b"] is None else np.mean(pools[u]["b"])
                                             for u in outcomes.units])  # fmt: skip
    return {
        "generator": name, "strategy": "single sample", "params": {}, "verifier": None, "budget": None,
        **_amounts(price, verifier=False), "seconds": _median(seconds),
        "strict": outcomes.interval(outcomes.samples(name, "strict")), "delta": None, "efficiency": None,
        "b_z": _z(outcomes, b, scale), "unclear": round(outcomes.mean(outcomes.samples(name, "unclear")), 4),
        "failed": sum(pool["error"] is not None for pool in pools.values()),
    }  # fmt: skip


def _random_row(outcomes: Outcomes, line: Line, verifier: str, budget: float) -> dict[str, Any] | None:
    name, prices = line.generator, outcomes.plan.prices[line.generator, verifier]
    found = at(budget * GIGA, prices)
    if found is None:
        return None
    n, scale = found[0], outcomes.b_scale()
    of = {metric: outcomes.curve(name, verifier, metric)[:, n - 1] for metric in ("strict", "reach", "unclear", "b")}
    pools, strict = outcomes.pools[name].values(), outcomes.interval(of["strict"])
    seconds = [(pool["seconds"]["sampling"] + pool["seconds"][verifier]) * n / len(pool["strict"])
               for pool in pools if verifier in pool["seconds"]]  # fmt: skip
    return {
        "generator": name, "strategy": line.strategy, "params": {"n": n}, "verifier": verifier, "budget": budget,
        **_amounts(prices[n - 1]), "seconds": _median(seconds), "strict": strict, "delta": None,
        "efficiency": _efficiency(outcomes, name, strict, of["reach"]), "b_z": _z(outcomes, of["b"], scale),
        "unclear": round(outcomes.mean(of["unclear"]), 4),
        "failed": sum(pool["scores"][verifier] is None for pool in pools),
    }  # fmt: skip


def _search_row(outcomes: Outcomes, setting: Setting) -> dict[str, Any]:
    name, runs = setting.line.generator, outcomes.searches[setting.name].values()
    values, spent = outcomes.found(setting), outcomes.spent(setting)
    rival, strict = outcomes.mixed(name, setting.verifier, spent.flops), outcomes.interval(values)
    return {
        "generator": name, "strategy": setting.line.strategy, "params": dict(setting.spec.params),
        "verifier": setting.verifier, "budget": setting.budget, **_amounts(spent),
        "seconds": _median([run["seconds"] for run in runs if run["seconds"] is not None]), "strict": strict,
        "delta": None if rival is None else cluster_difference(outcomes.by_tag(values), outcomes.by_tag(rival)),
        "efficiency": _efficiency(outcomes, name, strict, outcomes.found(setting, "reach")),
        "b_z": _z(outcomes, outcomes.found(setting, "b"), outcomes.b_scale()),
        "unclear": round(outcomes.mean(outcomes.found(setting, "unclear")), 4),
        "failed": sum(run["error"] is not None for run in runs),
    }  # fmt: skip


def _amounts(cost: Cost, verifier: bool = True) -> dict[str, Any]:
    parts = {"generator": cost.flops_generator, "decoder": cost.flops_decoder}
    parts["verifier"] = cost.flops_verifier if verifier else 0.0
    parts["total"] = sum(parts.values())
    return {"nfe": round(cost.nfe, 1), "gflop": {name: round(flops / GIGA, 3) for name, flops in parts.items()}}


def _median(seconds: Sequence[float]) -> float | None:
    return round(float(np.median(seconds)), 3) if len(seconds) else None


def _efficiency(outcomes: Outcomes, generator: str, selected: Interval, reach: np.ndarray) -> float | None:
    single = outcomes.mean(outcomes.samples(generator, "strict"))
    share = selection_efficiency(selected["mean"], single, outcomes.mean(reach))
    return None if share is None else round(share, 3)


def _z(outcomes: Outcomes, b: np.ndarray | None, scale: tuple[np.ndarray, float] | None) -> float | None:
    """In spreads of single samples of the same prompt. Units without an image have none and are left out of it."""
    if scale is None or b is None or np.isnan(b).all():
        return None
    return round(float(np.nanmean((b - scale[0]) / scale[1])), 3)


# Comparisons


def compared(outcomes: Outcomes, comparisons: Sequence[Comparison] = COMPARISONS) -> list[dict[str, Any]]:
    """What was written down beforehand, at the largest budget, corrected for being several."""
    found = [{"name": comparison.name} | _compared(outcomes, comparison) for comparison in comparisons]
    adjusted = holm({row["name"]: row["difference"]["p"] for row in found if "difference" in row})
    return [row | {"holm": adjusted[row["name"]]} if row["name"] in adjusted else row for row in found]


def _compared(outcomes: Outcomes, comparison: Comparison) -> dict[str, Any]:
    budget = outcomes.plan.budgets[-1]
    first = _side(outcomes, comparison.first, comparison.verifier, budget * GIGA)
    if isinstance(first, str):
        return {"not_made": first}
    spent = budget * GIGA if comparison.first in POOLS else first[1]
    sides = [_side(outcomes, line, comparison.other or comparison.verifier, spent) for line in comparison.second]
    there = {line.name: side for line, side in zip(comparison.second, sides, strict=True) if not isinstance(side, str)}
    if not there:
        return {"not_made": str(sides[0])}
    best = max(there, key=lambda name: outcomes.mean(there[name][0]))
    both = first, there[best]
    a, b = (outcomes.by_tag(side[0]) for side in both)
    return {
        "first": f"{comparison.first.name} by {comparison.verifier}",
        "second": f"{best} by {comparison.other or comparison.verifier}",
        "gflop": [round(side[1] / GIGA, 2) for side in both], "strict": [outcomes.interval(side[0]) for side in both],
        "difference": cluster_difference(a, b),
        "tags": {tag: _apart({tag: a[tag]}, {tag: b[tag]}) for tag in a},
        "beside_best_of_n": comparison.first not in POOLS and comparison.second == (Line(comparison.first.generator,
                                                                                         "random_search"),),
    }  # fmt: skip


def _apart(a: ByTag, b: ByTag) -> Interval:
    apart = cluster_difference(a, b)
    return {name: apart[name] for name in ("mean", "low", "high")}


def _side(outcomes: Outcomes, line: Line, verifier: str, flops: float) -> tuple[np.ndarray, float] | str:
    """(strict by unit, FLOPs spent) of a line at the largest budget, best of n at `flops`; or why there is none."""
    plan = outcomes.plan
    if verifier not in plan.verifiers or line.generator not in plan.generators:
        return f"{verifier if verifier not in plan.verifiers else line.generator} was not there"
    if line in POOLS:
        values = outcomes.mixed(line.generator, verifier, flops)
        return f"no image of {line.generator} for {flops / GIGA:.1f} GFLOP" if values is None else (values, flops)
    for setting in plan.settings:
        if (setting.line, setting.verifier, setting.budget) == (line, verifier, plan.budgets[-1]):
            return outcomes.found(setting), outcomes.spent(setting).flops
    return f"{line.name} by {verifier} does not fit {plan.budgets[-1]:g} GFLOP"


# Single samples


def singles(outcomes: Outcomes) -> dict[str, Any]:
    """Samples without search, by generator: overall and by tag, with what could not be read or decided."""
    found: dict[str, Any] = {}
    for name in outcomes.plan.generators:
        values = {metric: outcomes.samples(name, metric)
                  for metric in ("strict", "lenient", "am", "gm", "unclear", "dead_zone")}  # fmt: skip
        overall = {metric: outcomes.interval(of) for metric, of in values.items()}
        tags = {tag: {metric: cluster_interval(outcomes.by_tag(of, tag)) for metric, of in values.items()}
                for tag in outcomes.by_tag(values["strict"])}  # fmt: skip
        found[name] = {
            "samples": sum(len(pool["strict"]) for pool in outcomes.pools[name].values()), "overall": overall,
            "corrected": corrected(overall["strict"]["mean"]), "tags": tags,
            "in_band": BAND[0] <= overall["strict"]["mean"] <= BAND[1],
        }  # fmt: skip
    return found


# What is kept, so that intervals can be computed again


def outcomes_as_json(outcomes: Outcomes) -> dict[str, Any]:
    """Strict verdicts: of searches one bit a prompt, of pools one a sample, the verifier's favourites first."""
    order = range(outcomes.seeds)

    def ranked(pool: Mapping[str, Any], verifier: str) -> str:
        scores = pool["scores"][verifier] or [0.0] * len(pool["strict"])
        return "".join(pool["strict"][i] for i in sorted(range(len(scores)), key=lambda i: -scores[i]))

    return {
        "prompts": [row.id for row in outcomes.rows],
        "searches": {name: ["".join(str(runs[row.id, seed]["strict"]) for row in outcomes.rows) for seed in order]
                     for name, runs in outcomes.searches.items()},
        "pools": {name: {verifier: [[ranked(pools[row.id, seed], verifier) for row in outcomes.rows] for seed in order]
                         for verifier in outcomes.plan.verifiers} for name, pools in outcomes.pools.items()},
    }  # fmt: skip
