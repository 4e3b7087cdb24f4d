"""From scores to copies: weights, their effective number, and resampling that adds as little noise as can be.

Knows no nodes. All resamplers return how many copies each particle gets: `count` in all, on average
count * weight, and never more than one away from it. They compute in rational numbers, so these laws hold exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate, pairwise
from random import Random
from statistics import fmean
from typing import Literal

Resampler = Literal["systematic", "ssp"]


def spread(values: Sequence[float]) -> float:
    """The standard deviation; 0 if all are equal."""
    mean = fmean(values)
    return math.sqrt(fmean((value - mean) ** 2 for value in values)) if min(values) < max(values) else 0.0


def zscores(values: Sequence[float]) -> list[float]:
    """How many standard deviations each value is above the mean; zeros if all are equal."""
    mean, unit = fmean(values), spread(values)
    return [(value - mean) / unit if unit else 0.0 for value in values]


def softmax(log_weights: Sequence[float]) -> list[float]:
    """Weights that sum to 1; uniform when every particle is impossible (all -inf)."""
    top = max(log_weights)
    if top == -math.inf:
        return [1 / len(log_weights)] * len(log_weights)
    weights = [math.exp(value - top) for value in log_weights]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def ess(weights: Sequence[float]) -> float:
    """Effective sample size of weights that sum to 1: how many equal ones would vary as little."""
    return 1 / math.fsum(weight**2 for weight in weights)


def draw_copies(weights: Sequence[float], count: int, rng: Random, resampler: Resampler) -> list[int]:
    """Copies by the resampler of that name."""
    return ssp(weights, count, rng) if resampler == "ssp" else systematic(weights, count, rng.random())


def systematic(weights: Sequence[float], count: int, u: float) -> list[int]:
    """Copies by a comb of `count` teeth, laid over the weights at offset u in [0, 1) (Kitagawa 1996)."""
    edges = [math.floor(edge + Fraction(u)) for edge in accumulate(_shares(weights, count), initial=Fraction(0))]
    return [after - before for before, after in pairwise(edges)]


def ssp(weights: Sequence[float], count: int, rng: Random) -> list[int]:
    """Copies by the Srinivasan sampling process (Gerber, Chopin and Whiteley 2019).

    What a share has beyond its whole part is settled in duels: one of two becomes whole, the other carries on.
    """
    shares = _shares(weights, count)
    copies = [math.floor(share) for share in shares]
    carrier, rest = 0, shares[0] - copies[0]
    for rival in range(1, len(shares)):
        other = shares[rival] - copies[rival]
        both = rest + other
        up = both >= 1                       # one of them becomes 1, or else one becomes 0
        closes = rng.random() * (2 - both) < 1 - other if up else rng.random() * both < other
        closed, carrier = (carrier, rival) if closes else (rival, carrier)
        copies[closed] += up
        rest = both - up
    return copies


def _shares(weights: Sequence[float], count: int) -> list[Fraction]:
    """count * weight, exactly, for weights that need not sum to 1."""
    exact = [Fraction(weight) for weight in weights]
    total = sum(exact)
    return [count * weight / total for weight in exact]
