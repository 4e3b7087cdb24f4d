"""Many varied candidates at coarse scales, fewer and better ones at fine scales."""

from functools import partial
from typing import Annotated

from core.search.clustering import medoids
from core.search.events import Look
from core.search.primitives import Primitives, Steps
from core.search.resampling import Resampler, draw_copies, softmax, zscores
from core.search.schema import Range
from core.search.tree import Node


def resampling_search(
    search: Primitives,
    particles: Annotated[int, Range(1, 64)] = 4,
    widen: Annotated[int, Range(1, 16)] = 4,
    temper: Annotated[float, Range(0, 100)] = 2.0,
    look: Look = "preview",
    resampler: Resampler = "ssp",
) -> Steps[list[Node]]:
    """Cluster coarse scales for variety, resample fine ones by score (TTS-VAR, Chen et al. 2025).

    In the first half of the steps, where scores say little, one candidate of each cluster goes on. After that candidate
    i has copies in proportion to exp(temper * z_i), z_i its score in standard deviations from the mean of the choice:
    scores of any scale will do. There are `widen` times as many candidates at the first step as at the last.
    """
    size = partial(_size, search.num_steps, particles, widen)
    root = yield from search.start()
    crowd = yield from search.expand([root], size(root.step + 1))
    while not search.finished(crowd):
        step = crowd[0].step
        rng, rule = search.random("resampling", step), "cluster"
        if step <= search.num_steps / 2:
            chosen = medoids(search.signature(crowd), size(step + 1), rng)
            copies = [int(place in chosen) for place in range(len(crowd))]
        else:
            crowd, rule = (yield from search.score(crowd, look)), "resampled"
            weights = softmax([temper * z for z in zscores([node.score for node in crowd])])
            copies = draw_copies(weights, size(step + 1), rng, resampler)
        survivors = yield from search.resample(crowd, copies, rule)
        crowd = yield from search.expand(survivors, [node.copies for node in survivors])
    return (yield from search.keep(crowd, 1, look, rule="best_of_n"))


def _size(num_steps: int, particles: int, widen: int, step: int) -> int:
    """Candidates after `step` decisions: from particles * widen after the first down to `particles`, geometrically."""
    return round(particles * widen ** ((num_steps - step) / max(1, num_steps - 1)))
