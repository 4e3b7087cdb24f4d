"""Back into the noise and out again by another way, nearer to the image each time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from core.search.schema import Range

if TYPE_CHECKING:
    from core.search.search import Search, Steps
    from core.search.tree import Node


def search_over_paths(
    search: Search,
    paths: Annotated[int, Range(1, 64)] = 2,
    branch: Annotated[int, Range(1, 64)] = 3,
    start: Annotated[int, Range(2, 64)] = 8,
    jump: Annotated[int, Range(1, 64)] = 5,
    gain: Annotated[int, Range(1, 64)] = 2,
) -> Steps[list[Node]]:
    """Renoise each path `branch` ways, denoise farther than that, keep the best paths (Ma et al. 2025, fig. 2).

    In denoising steps: the first choice is after `start`, then every round goes `jump` back and jump + gain on. A path
    also goes on as it is, so what is kept never looks worse than what was there.
    """
    root = yield from search.start()
    samples = yield from search.expand([root], paths)
    beam = yield from search.advance(samples, min(_first(search) + start, search.num_steps))
    while not search.finished(beam):
        step = beam[0].step
        goal = min(step + gain, search.num_steps)
        noised = yield from search.renoise(beam, max(_first(search) + 1, step - jump), branch)
        others = yield from search.advance(noised, goal)
        same = yield from search.advance(beam, goal)
        beam = yield from search.keep([*same, *others], paths, rule="paths")
    return (yield from search.keep(beam, 1, rule="best_of_n"))


def _first(search: Search) -> int:
    """Decisions before the first that is made in noise: none, but for a generator that hands over to diffusion."""
    return getattr(search, "handover_step", 0)
