"""Composition by searching coarse scales, detail by diffusion."""

from collections.abc import Sequence
from typing import Annotated

from core.search.events import Look
from core.search.primitives import Primitives, Steps
from core.search.schema import Range
from core.search.tree import Node


def ar_then_flow(
    search: Primitives,
    width: Annotated[int, Range(1, 64)] = 3,
    branch: Annotated[int, Range(1, 64)] = 5,
    scales: Annotated[int, Range(1, 64)] = 4,
    draws: Annotated[int, Range(1, 64)] = 2,
    look: Look = "preview",
) -> Steps[list[Node]]:
    """Beam search over coarse scales, then survivors noised and finished by diffusion (SDEdit, Meng et al. 2022).

    `scales`: how many the beam decides, all if there are fewer; `draws`: images made of each survivor.
    """
    root = yield from search.start()
    beam = [root]
    while beam[0].step < min(scales, search.handover_step):
        candidates = yield from search.expand(beam, width * branch // len(beam))
        beam = yield from search.keep(candidates, width, look)
    noised = yield from _handed_over(search, beam, draws)
    images = yield from search.finish(noised)
    return (yield from search.keep(images, 1, rule="best_of_n"))


def _handed_over(search: Primitives, beam: Sequence[Node], draws: int) -> Steps[list[Node]]:
    """`draws` children of each node in the noise; a resumed node that is there already goes on from where it is."""
    if beam[0].step > search.handover_step:
        return (yield from search.expand(beam, draws))
    return (yield from search.renoise(beam, search.handover_step + 1, draws))
