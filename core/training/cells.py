"""An auxiliary task that teaches image trunks to see: what is shown in each of the 64 cells of the canvas.

Known because the scene was drawn by us. Its heads are thrown away after training.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core.world.scene import CANVAS, Scene
from core.world.vocabulary import COLOURS, KINDS, PATTERNS, SIZE_NAMES

NOUNS = {kind.noun: index + 1 for index, kind in enumerate(KINDS)}  # 0: background
TINTS = {colour: index + 1 for index, colour in enumerate(COLOURS)}  # 0: no colour of the world
MARKS = {pattern: index + 1 for index, pattern in enumerate(PATTERNS)}  # 0: no pattern of the world
SPANS = {size: index + 1 for index, size in enumerate(SIZE_NAMES)}  # 0: the usual size, or nothing
CELL = 16  # px
SIZES = (1 + len(NOUNS), 1 + len(TINTS), 1 + len(MARKS), 1 + len(SPANS), 1)  # logits of the four and of a centre


def cells(scene: Scene) -> Tensor:
    """[64, 5]: noun, colour, pattern, size, and whether a thing has its centre here."""
    side = CANVAS // CELL
    grid = np.zeros((side, side, len(SIZES)), np.int64)
    for thing in scene.things:
        half = 0.42 * thing.size / CELL  # a sprite does not fill its square
        x, y = thing.x / CELL - 0.5, thing.y / CELL - 0.5  # in cells, cell centres being whole numbers
        rows = slice(max(0, int(np.ceil(y - half))), int(np.floor(y + half)) + 1)
        columns = slice(max(0, int(np.ceil(x - half))), int(np.floor(x + half)) + 1)
        grid[rows, columns, :4] = _answers(thing)
        grid[thing.y // CELL, thing.x // CELL, 4] = 1
    return torch.from_numpy(grid.reshape(-1, len(SIZES)))


def _answers(thing) -> tuple[int, int, int, int]:
    look = TINTS.get(thing.colour, 0), MARKS.get(thing.pattern, 0), SPANS.get(thing.size_name, 0)
    return NOUNS[thing.noun], *look


def cell_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropies of logits [B, 64, sum(SIZES)] against target [B, 64, 5], summed over the questions."""
    *answers, centres = logits.flatten(0, 1).split(SIZES, -1)
    target = target.flatten(0, 1)
    weight = torch.tensor(8.0, device=target.device)  # one cell in 25 holds a centre
    centre = F.binary_cross_entropy_with_logits(centres[:, 0], target[:, -1].float(), pos_weight=weight)
    return centre + sum(F.cross_entropy(part, target[:, number]) for number, part in enumerate(answers))
