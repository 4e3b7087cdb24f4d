"""Back into the noise and out again by another way, nearer to the image each time."""

from typing import Annotated

from core.search.primitives import Primitives, Steps
from core.search.schema import Range
from core.search.tree import Node


def search_over_paths(
    search: Primitives,
    paths: Annotated[int, Range(1, 64)] = 2,
    branch: Annotated[int, Range(1, 64)] = 3,
    start: Annotated[int, Range(2, 64)] = 5,
    jump: Annotated[int, Range(1, 64)] = 3,
    gain: Annotated[int, Range(1, 64)] = 1,
) -> Steps[list[Node]]:
    """Renoise each path `branch` ways, denoise farther than that, keep the best paths (Ma et al. 2025).

    In steps: the first round begins after `start`, each goes back by `jump` and on by jump + gain. A path also goes on
    as it is, so what is kept never looks worse than what was there. None goes back beyond where the run began.
    Few-step models have fewer steps than the usual `start`: where it lies beyond the last step, the one round that is
    left begins before that.
    """
    root = yield from search.start()
    noisy = max(search.handover_step + 1, root.step)   # the first step with noise to go back to
    samples = yield from search.expand([root], paths)
    first = start if start <= search.num_steps else search.num_steps - 1
    beam = yield from search.advance(samples, min(max(first, noisy + 1), search.num_steps))
    while not search.finished(beam):
        step = beam[0].step
        goal = min(step + gain, search.num_steps)
        same = yield from search.expand(beam, 1)
        noised = yield from search.renoise(beam, max(noisy, step - jump), branch)
        others = yield from search.advance(noised, goal)
        same = yield from search.advance(same, goal)
        beam = yield from search.keep([*same, *others], paths, rule="paths")
    return (yield from search.keep(beam, 1, rule="best_of_n"))
