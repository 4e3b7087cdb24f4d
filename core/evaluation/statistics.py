"""Means with bootstrap confidence intervals; the unit is the prompt."""

import numpy as np

ROUNDS = 10_000


def mean_interval(values: list[float], seed: int = 0) -> dict[str, float]:
    """Mean over prompts and its 95% percentile bootstrap interval."""
    data = np.asarray(values, float)
    picks = np.random.default_rng(seed).integers(0, len(data), (ROUNDS, len(data)))
    low, high = np.percentile(data[picks].mean(1), [2.5, 97.5])
    return {"mean": round(float(data.mean()), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def paired_difference(a: list[float], b: list[float], seed: int = 0) -> dict[str, float]:
    """Mean of a - b over the same prompts, with its interval."""
    return mean_interval([x - y for x, y in zip(a, b, strict=True)], seed)


def in_words(interval: dict[str, float]) -> str:
    return f"{interval['mean']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]"
