"""Two small detectors of the emoji world, of different build: image -> heat map of centres, and what stands there.

Reader a is a convolutional U-net that answers on a 32 x 32 grid; reader b sees the whole picture at once, by attention
over a 16 x 16 grid. Centres as peaks of a heat map after CenterNet (Zhou et al. 2019).

Letters: B batch, s side of the grid, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from core.models.layers import grid_positions
from core.models.tokenizer import ResBlock
from core.world.scene import CANVAS
from core.world.vocabulary import BACKGROUNDS, COLOURS, KINDS, PATTERNS

USUAL = 48.0  # px, the side of a thing that is neither small nor large
NOUNS, TINTS, PRINTS, BACKDROPS = [kind.noun for kind in KINDS], list(COLOURS), list(PATTERNS), list(BACKGROUNDS)
CHANNELS = {"heat": 1, "noun": len(NOUNS), "colour": len(TINTS), "pattern": len(PRINTS), "place": 3}
GLIMPSE = 0.1  # least heat of what may be a thing


class ReaderA(nn.Module):
    """Convolutions from 32 x 32 down to 8 x 8 and back up, with skips."""

    grid = 32

    def __init__(self, widths: tuple[int, int, int] = (64, 96, 160)):
        super().__init__()
        a, b, c = widths
        self.top = nn.Sequential(nn.PixelUnshuffle(4), nn.Conv2d(48, a, 3, padding=1), ResBlock(a))  # [B, a, 32, 32]
        self.middle = nn.Sequential(nn.Conv2d(a, b, 4, stride=2, padding=1), ResBlock(b))  # [B, b, 16, 16]
        self.bottom = nn.Sequential(nn.Conv2d(b, c, 4, stride=2, padding=1), ResBlock(c), ResBlock(c))  # [B, c, 8, 8]
        self.up1, self.up2 = nn.Conv2d(c, b, 1), nn.Conv2d(b, a, 1)
        self.join1, self.join2 = nn.Sequential(ResBlock(b), ResBlock(b)), ResBlock(a)
        self.heads = Heads(a, c)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """images [B, 3, 128, 128] in [-1, 1] -> logits by question, each [B, C, s, s]; background [B, 6]."""
        top = self.top(images)
        middle = self.middle(top)
        bottom = self.bottom(middle)
        middle = self.join1(middle + F.interpolate(self.up1(bottom), scale_factor=2))
        return self.heads(self.join2(top + F.interpolate(self.up2(middle), scale_factor=2)), bottom)


class ReaderB(nn.Module):
    """A short convolutional stem, then attention over 256 cells."""

    grid = 16

    def __init__(self, width: int = 160, depth: int = 4):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 32, 5, stride=2, padding=2), nn.SiLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1), ResBlock(64),  # [B, 64, 32, 32]
            nn.Conv2d(64, width, 4, stride=2, padding=1), ResBlock(width),  # [B, width, 16, 16]
        )  # fmt: skip
        self.register_buffer("places", grid_positions(self.grid, width), persistent=False)  # [256, width]
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, width // 32, 3 * width, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(depth)
        )
        self.heads = Heads(width, width)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        cells = self.stem(images)
        tokens = cells.flatten(2).transpose(1, 2) + self.places
        for block in self.blocks:
            tokens = block(tokens)
        cells = cells + tokens.transpose(1, 2).unflatten(2, (self.grid, self.grid))
        return self.heads(cells, cells)


class Heads(nn.Module):
    """Answers of every cell, and the background of the whole."""

    def __init__(self, width: int, deep: int):
        super().__init__()
        self.body = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, 128, 3, padding=1), nn.SiLU())
        self.out = nn.Conv2d(128, sum(CHANNELS.values()), 1)
        self.background = nn.Linear(deep, len(BACKDROPS))
        nn.init.constant_(self.out.bias[:1], -4.0)  # few cells are centres

    def forward(self, cells: Tensor, deep: Tensor) -> dict[str, Tensor]:
        parts = self.out(self.body(cells)).split(list(CHANNELS.values()), 1)
        return dict(zip(CHANNELS, parts, strict=True)) | {"background": self.background(deep.mean((2, 3)))}


READERS = {"a": ReaderA, "b": ReaderB}


# From answers to what may be there


@dataclass(frozen=True)
class Peak:
    """What may be the centre of a thing, with the answers of its cell."""

    heat: float
    x: float  # px, as y and side
    y: float
    side: float
    answers: dict[str, Tensor]  # probabilities, [C]


@dataclass(frozen=True)
class Seen:
    """What one reader saw in one image: peaks, the hottest first, and the probability of every background."""

    peaks: tuple[Peak, ...]
    background: Tensor  # [6]


def seen(maps: dict[str, Tensor]) -> list[Seen]:
    """What the answers [B, C, s, s] of a reader say of every image."""
    maps = {name: part.float().cpu() for name, part in maps.items()}
    heat = maps["heat"].sigmoid()
    tops = (heat == F.max_pool2d(heat, 3, 1, 1)) & (heat > GLIMPSE)  # [B, 1, s, s]
    answers = {name: maps[name].softmax(1) for name in ("noun", "colour", "pattern")}
    found = []
    for number, background in enumerate(maps["background"].softmax(1)):
        cells = tops[number, 0].nonzero().tolist()
        peaks = [_peak(maps["place"][number], heat[number, 0], answers, number, *cell) for cell in cells]
        found.append(Seen(_apart(peaks), background))
    return found


def _peak(place: Tensor, heat: Tensor, answers: dict[str, Tensor], number: int, row: int, column: int) -> Peak:
    cell = CANVAS / heat.shape[-1]
    dx, dy, side = place[:, row, column].tolist()
    said = {name: part[number, :, row, column] for name, part in answers.items()}
    where = ((column + 0.5 + dx) * cell, (row + 0.5 + dy) * cell)
    return Peak(float(heat[row, column]), *where, USUAL * 2.0 ** max(-3.0, min(3.0, side)), said)


def _apart(peaks: list[Peak]) -> tuple[Peak, ...]:
    """The hottest first; what lies within a quarter of a hotter one's side is that thing again."""
    kept: list[Peak] = []
    for peak in sorted(peaks, key=lambda peak: -peak.heat):
        if all(max(abs(peak.x - other.x), abs(peak.y - other.y)) > other.side / 4 for other in kept):
            kept.append(peak)
    return tuple(kept)
