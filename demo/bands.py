"""Any-time curves of one comparison under several seeds: their band, and what their ends say. Pure.

A curve is a list of points (gflop, nfe, seconds, score), each an improvement, and ends with what the run spent in all.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from core.evaluation.statistics import paired_difference
from demo import strings

FEWEST = 6  # seeds: of fewer an interval says little
AXES = ("gflop", "nfe", "seconds")
Point = Mapping[str, float]


def curve(frames: Sequence[Mapping[str, Any]]) -> list[Point]:
    """The points at which the best score rose, and the end of the run; empty where no image was finished."""
    points: list[Point] = []
    for frame in frames:
        best = frame["best"]
        if best and (not points or best["peak"] != points[-1]["score"]):
            points.append({axis: frame[axis] for axis in AXES} | {"score": best["peak"]})
    if points:
        points.append({axis: frames[-1][axis] for axis in AXES} | {"score": points[-1]["score"]})
    return points


def band(curves: Sequence[Sequence[Point]], axis: str) -> dict[str, list[float]]:
    """Mean, lowest and highest best score at every x from where all curves have begun."""
    curves = [points for points in curves if points]
    if not curves:
        return {"x": [], "mean": [], "low": [], "high": []}
    begin = max(points[0][axis] for points in curves)
    places = sorted({point[axis] for points in curves for point in points if point[axis] >= begin})
    scores = [[_at(points, axis, x) for points in curves] for x in places]
    return {"x": places, "mean": [round(sum(row) / len(row), 4) for row in scores],
            "low": [min(row) for row in scores], "high": [max(row) for row in scores]}  # fmt: skip


def _at(points: Sequence[Point], axis: str, x: float) -> float:
    return max(point["score"] for point in points if point[axis] <= x)


def finding(labels: Sequence[str], ends: Sequence[tuple[float, float]]) -> str | None:
    """What final scores (first lane's, second lane's) of several seeds say; None of too few."""
    if len(ends) < FEWEST:
        return None
    first, second = zip(*ends, strict=True)
    apart = paired_difference(list(first), list(second))
    wins = sum(a > b for a, b in ends)
    clear = apart["low"] > 0 or apart["high"] < 0
    told = strings.CLEARLY.format(name=labels[0] if apart["mean"] > 0 else labels[1]) if clear else strings.UNCLEAR
    return strings.SERIES.format(
        count=len(ends), first=labels[0], second=labels[1], a=sum(first) / len(first), b=sum(second) / len(second),
        wins=wins, told=told, **apart,
    )  # fmt: skip
