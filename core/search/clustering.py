"""Groups among points that are lists of numbers, such as the signatures of states. Knows no nodes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from statistics import fmean

Point = Sequence[float]
STARTS = 4    # clusterings, of which the tightest counts
ROUNDS = 10   # of assigning and moving: a few suffice from a careful start


def medoids(points: Sequence[Point], k: int, rng: Random) -> list[int]:
    """Indices, ascending, of k points that stand for all: each the most central of its cluster.

    Clusters by k-medoids (Park and Jun 2009), started as k-means++ does (Arthur and Vassilvitskii 2007).
    Equal points count once as long as there are others to choose.
    """
    distinct = list({tuple(point): i for i, point in reversed(list(enumerate(points)))}.values())[::-1]
    if k >= len(distinct):
        copies = sorted(set(range(len(points))) - set(distinct))
        return sorted(distinct + copies[: k - len(distinct)])
    squares = _squared_distances([points[i] for i in distinct])
    tries = [_settled(squares, _spread_out(squares, k, rng)) for _ in range(STARTS)]
    best = min(tries, key=lambda centers: sum(min(map(row.__getitem__, centers)) for row in squares))
    return sorted(distinct[center] for center in best)


def near_duplicates(points: Sequence[Point], tolerance: float) -> list[int]:
    """Indices of the points that are near an earlier one that is not itself near an earlier one.

    Near: at most `tolerance` times as far as two of the points usually are (root mean square). 0 finds none.
    """
    if not tolerance or not points:
        return []
    mean = [fmean(axis) for axis in zip(*points, strict=True)]
    usual = math.sqrt(2 * fmean(math.dist(point, mean) ** 2 for point in points))
    first, near = [], []
    for i, point in enumerate(points):
        is_near = any(math.dist(point, points[other]) <= tolerance * usual for other in first)
        (near if is_near else first).append(i)
    return near


def _squared_distances(points: Sequence[Point]) -> list[list[float]]:
    points = [tuple(point) for point in points]
    squares = [[0.0] * len(points) for _ in points]
    for i, point in enumerate(points):
        for j in range(i):
            squares[i][j] = squares[j][i] = math.dist(point, points[j]) ** 2
    return squares


def _spread_out(squares: list[list[float]], k: int, rng: Random) -> list[int]:
    """k different points, each drawn the likelier the farther it is from those before it."""
    centers = [rng.randrange(len(squares))]
    nearest = squares[centers[0]]
    while len(centers) < k:
        centers += rng.choices(range(len(squares)), nearest)
        nearest = list(map(min, nearest, squares[centers[-1]]))
    return centers


def _settled(squares: list[list[float]], centers: list[int]) -> list[int]:
    """The centers after moving each to the middle of its cluster until none moves."""
    for _ in range(ROUNDS):
        before, centers = centers, [_most_central(squares, members) for members in _clusters(squares, centers)]
        if centers == before:
            break
    return centers


def _clusters(squares: list[list[float]], centers: list[int]) -> list[list[int]]:
    """The points by the center they are nearest to."""
    clusters = {center: [] for center in centers}
    for i, row in enumerate(squares):
        clusters[min(centers, key=row.__getitem__)].append(i)
    return list(clusters.values())


def _most_central(squares: list[list[float]], members: list[int]) -> int:
    return min(members, key=lambda i: sum(map(squares[i].__getitem__, members)))
