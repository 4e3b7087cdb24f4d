"""Rates with confidence intervals, what selection from a pool can reach, and corrections. The unit is the prompt.

Prompts are resampled whole, within their tags, and seeds within prompts; settings that share prompts and seeds are
compared by their differences (Miller 2024, clustered errors and paired differences).
"""

from collections.abc import Mapping, Sequence
from math import comb, sqrt

import numpy as np

ROUNDS = 10_000
Interval = dict[str, float]  # mean, low, high
ByTag = Mapping[str, Sequence[Sequence[float]]]  # tag -> [prompts, seeds]


def mean_interval(values: list[float], seed: int = 0) -> Interval:
    """Mean over prompts and its 95% percentile bootstrap interval."""
    data = np.asarray(values, float)
    picks = np.random.default_rng(seed).integers(0, len(data), (ROUNDS, len(data)))
    return _interval(float(data.mean()), data[picks].mean(1))


def paired_difference(a: list[float], b: list[float], seed: int = 0) -> Interval:
    """Mean of a - b over the same prompts, with its interval."""
    return mean_interval([x - y for x, y in zip(a, b, strict=True)], seed)


def in_words(interval: Interval) -> str:
    return f"{interval['mean']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]"


def _interval(mean: float, rounds: np.ndarray) -> Interval:
    low, high = np.percentile(rounds, [2.5, 97.5])
    return {"mean": round(mean, 4), "low": round(float(low), 4), "high": round(float(high), 4)}


# Clusters: seeds within prompts within tags


def cluster_interval(values: ByTag, seed: int = 0) -> Interval:
    """The mean of the tags' means, with the interval of a stratified cluster bootstrap."""
    return _interval(_macro_mean(values), _macro_rounds(values, seed))


def cluster_difference(a: ByTag, b: ByTag, seed: int = 0) -> Interval:
    """a - b of two settings run on the same prompts and seeds, with its interval and `p`, two-sided."""
    apart = {tag: np.subtract(a[tag], b[tag]) for tag in _same_tags(a, b)}
    rounds = _macro_rounds(apart, seed)
    tail = min((rounds <= 0).sum(), (rounds >= 0).sum())
    return _interval(_macro_mean(apart), rounds) | {"p": min(1.0, 2 * (int(tail) + 1) / (ROUNDS + 1))}


def _same_tags(a: ByTag, b: ByTag) -> list[str]:
    if any(np.shape(a[tag]) != np.shape(b.get(tag, ())) for tag in a) or set(a) != set(b):
        shapes = [{tag: np.shape(rows) for tag, rows in side.items()} for side in (a, b)]
        raise ValueError(f"only the same prompts and seeds can be paired, and these are {shapes[0]} and {shapes[1]}")
    return list(a)


def _macro_mean(values: ByTag) -> float:
    return float(np.mean([np.mean(rows) for rows in values.values()]))


def _macro_rounds(values: ByTag, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.mean([_resampled(np.asarray(rows, float), rng) for rows in values.values()], 0)  # [ROUNDS]


def _resampled(rows: np.ndarray, rng: np.random.Generator, chunk: int = 500) -> np.ndarray:
    """Means of ROUNDS samples of whole prompts, and of seeds within each, from `rows` [prompts, seeds]."""
    prompts, seeds = rows.shape
    means = []
    for _ in range(ROUNDS // chunk):
        which = rng.integers(0, prompts, (chunk, prompts, 1))
        means.append(rows[which, rng.integers(0, seeds, (chunk, prompts, seeds))].mean((1, 2)))
    return np.concatenate(means)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p-values adjusted for having made all these comparisons (Holm 1979)."""
    adjusted, largest = {}, 0.0
    for rank, name in enumerate(sorted(p_values, key=p_values.get)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


# Selection from a pool of samples of one prompt


def best_of_n(scores: Sequence[float], outcomes: Sequence[float], n: int) -> float:
    """Expected outcome of the best-scored of n samples drawn without replacement from a pool, exactly.

    Samples of equal score share their outcomes: which of them is taken is chance.
    """
    _check_pool(len(scores), n)
    scores, outcomes = np.asarray(scores, float), np.asarray(outcomes, float)
    shared = {score: outcomes[scores == score].mean() for score in set(scores.tolist())}
    ranked = sorted(scores.tolist(), reverse=True)
    # The i-th best (i from 0) is the best drawn in as many draws as leave the i better ones out.
    chosen = (comb(len(ranked) - i - 1, n - 1) * shared[score] for i, score in enumerate(ranked))
    return float(sum(chosen) / comb(len(ranked), n))


def pass_at(outcomes: Sequence[float], n: int) -> float:
    """Chance that one of n samples drawn without replacement from the pool is right: what selection can reach."""
    _check_pool(len(outcomes), n)
    wrong = sum(not outcome for outcome in outcomes)
    return 1 - comb(wrong, n) / comb(len(outcomes), n)


def _check_pool(size: int, n: int) -> None:
    if not 1 <= n <= size:
        raise ValueError(f"{n} of a pool of {size} samples cannot be drawn: ask for 1 to {size}")


def selection_efficiency(selected: float, single: float, ceiling: float) -> float | None:
    """The share of the headroom from one sample to pass@n that the verifier harvests; None where there is none."""
    return (selected - single) / (ceiling - single) if ceiling > single else None


# An imperfect checker


def corrected_rate(seen: float, sensitivity: float, specificity: float) -> float:
    """The true rate behind a rate that a checker reports (Rogan and Gladen 1978), kept within [0, 1]."""
    informed = sensitivity + specificity - 1
    if informed <= 0:
        raise ValueError(f"a checker of sensitivity {sensitivity} and specificity {specificity} tells nothing")
    return min(1.0, max(0.0, (seen + specificity - 1) / informed))


def rate_interval(hits: int, count: int) -> Interval:
    """A rate and its 95% Wilson interval, sensible also where all or none are hits."""
    z, rate = 1.959964, hits / count
    middle = (rate + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * sqrt(rate * (1 - rate) / count + z * z / (4 * count * count))
    return {"mean": round(rate, 4), "low": round(max(0.0, middle - half), 4), "high": round(min(1.0, middle + half), 4)}


def rate_difference(one: Interval, other: Interval) -> Interval:
    """one - other of two independent rates, with Newcombe's interval (1998) from their own."""
    apart = one["mean"] - other["mean"]
    down = sqrt((one["mean"] - one["low"]) ** 2 + (other["high"] - other["mean"]) ** 2)
    up = sqrt((one["high"] - one["mean"]) ** 2 + (other["mean"] - other["low"]) ** 2)
    return {"mean": round(apart, 4), "low": round(apart - down, 4), "high": round(apart + up, 4)}


# Scores against what is true


def auc(good: Sequence[float], bad: Sequence[float]) -> float:
    """The chance that one of the good scores is above one of the bad, a tie counting half."""
    return float(_wins(good, bad).mean())


def _wins(good: Sequence[float], bad: Sequence[float]) -> np.ndarray:
    """[good, bad] 1 where the good score is above, one half where they tie."""
    apart = np.subtract.outer(np.asarray(good, float), np.asarray(bad, float))
    return (apart > 0) + 0.5 * (apart == 0)


def auc_interval(good: Sequence[float], bad: Sequence[float], seed: int = 0) -> Interval:
    """`auc` of scores that come in pairs, a good one against the bad ones of other pairs; pairs are resampled whole."""
    wins, count = _wins(good, bad).astype(np.float32), len(good)
    np.fill_diagonal(wins, 0)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), ROUNDS).astype(np.float32)
    drawn = drawn[(drawn > 0).sum(1) > 1]  # of few pairs one alone may have been drawn
    rounds = ((drawn @ wins) * drawn).sum(1) / (count**2 - (drawn**2).sum(1))
    return _interval(float(wins.sum()) / (count * (count - 1)), rounds)


def calibration_error(chances: Sequence[float], outcomes: Sequence[float], bins: int = 15, seed: int = 0) -> Interval:
    """Expected calibration error over bins of equal width (Guo et al. 2017), with a normal bootstrap interval.

    A percentile interval would lie above the figure: resampling adds noise, and every bin counts it as error.
    """
    chances, outcomes = np.asarray(chances, float), np.asarray(outcomes, float)
    which = np.minimum((chances * bins).astype(int), bins - 1)
    off = np.eye(bins)[which] * (chances - outcomes)[:, None]  # [images, bins]
    count = len(chances)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), ROUNDS // 10)
    rounds = np.abs(drawn @ off).sum(1) / count
    error, spread = float(np.abs(off.sum(0)).sum() / count), 1.96 * float(rounds.std())
    return {"mean": round(error, 4), "low": round(max(0.0, error - spread), 4), "high": round(error + spread, 4)}
