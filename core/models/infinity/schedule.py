"""The grids that an Infinity image grows through, from 1x1 to its final size, for every shape it was trained on.

A shape is height over width. The lists are the official ones; a smaller image takes a prefix of its shape's list.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from core.models.infinity.config import PIXELS_PER_TOKEN, InfinityConfig
from core.search.errors import BadRequest

Grid = tuple[int, int]  # rows, columns
LENGTHS = {"0.06M": 7, "0.25M": 10, "0.60M": 12, "1M": 13}  # scales by the number of pixels of a square image

_TALL = {
    1.0: "1x1 2x2 4x4 6x6 8x8 12x12 16x16 20x20 24x24 32x32 40x40 48x48 64x64",
    1.25: "1x1 2x2 3x3 5x4 10x8 15x12 20x16 25x20 30x24 35x28 45x36 55x44 70x56",
    1.333: "1x1 2x2 4x3 8x6 12x9 16x12 20x15 24x18 28x21 36x27 48x36 60x45 72x54",
    1.5: "1x1 2x2 3x2 6x4 9x6 15x10 21x14 27x18 33x22 39x26 48x32 63x42 78x52",
    1.75: "1x1 2x2 3x3 7x4 11x6 14x8 21x12 28x16 35x20 42x24 56x32 70x40 84x48",
    2.0: "1x1 2x2 4x2 6x3 10x5 16x8 22x11 30x15 38x19 46x23 60x30 74x37 90x45",
    2.5: "1x1 2x2 5x2 10x4 15x6 20x8 25x10 30x12 40x16 50x20 65x26 80x32 100x40",
    3.0: "1x1 2x2 6x2 9x3 15x5 21x7 27x9 36x12 45x15 54x18 72x24 90x30 111x37",
}


def _grids(text: str) -> tuple[Grid, ...]:
    return tuple((int(h), int(w)) for h, w in (grid.split("x") for grid in text.split()))


def _templates() -> dict[float, tuple[Grid, ...]]:
    tall = {ratio: _grids(text) for ratio, text in _TALL.items()}
    wide = {math.floor(1000 / ratio) / 1000: tuple((w, h) for h, w in grids) for ratio, grids in tall.items()}
    return dict(sorted((wide | tall).items()))


TEMPLATES = _templates()  # all 13 grids by height over width


@dataclass(frozen=True)
class Schedule:
    """The grids of one image, in tokens, and the grid that positions are measured on whatever the size."""

    ratio: float  # height over width
    grids: tuple[Grid, ...]
    reference: Grid  # the last grid of the full list
    patch: int = 1  # latent positions along one side of a token

    @property
    def tokens(self) -> tuple[int, ...]:
        """Of each scale."""
        return tuple(h * w for h, w in self.grids)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(f"{h}x{w}" for h, w in self.grids)

    def seen(self, scale: int) -> int:
        """Tokens of this scale and those before."""
        return sum(self.tokens[: scale + 1])

    def latent(self, scale: int = -1) -> Grid:
        """Latent positions of a scale; of the last one by default."""
        rows, columns = self.grids[scale]
        return rows * self.patch, columns * self.patch

    @property
    def size(self) -> Grid:
        """Height and width of the image in pixels."""
        rows, columns = self.grids[-1]
        return rows * PIXELS_PER_TOKEN, columns * PIXELS_PER_TOKEN


@lru_cache(maxsize=64)
def schedule(ratio: float = 1.0, pixels: str = "1M", patchify: bool = False) -> Schedule:
    """The schedule of the trained shape nearest to a height over width of `ratio`. Raises BadRequest."""
    if pixels not in LENGTHS or not 0 < ratio < math.inf:
        raise BadRequest(
            f"no image of {pixels!r} pixels with height/width {ratio}: choose one of {', '.join(LENGTHS)} and a "
            f"positive ratio, best between {min(TEMPLATES)} and {max(TEMPLATES)}"
        )
    nearest = min(TEMPLATES, key=lambda template: abs(math.log(ratio / template)))
    grids = TEMPLATES[nearest]
    return Schedule(nearest, grids[: LENGTHS[pixels]], grids[-1], 2 if patchify else 1)


def schedule_of(config: InfinityConfig, ratio: float = 1.0) -> Schedule:
    """The schedule at the size that the model was trained for."""
    return schedule(ratio, config.pixels, config.patchify)
