"""An auxiliary task that teaches image trunks to see: what is shown in each of the 64 cells of the canvas.

Known because the scene was drawn by us. Its heads are thrown away after training.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core.world.scene import CANVAS, Scene
from core.world.vocabulary import COLOURS, KINDS

NOUNS = {kind.noun: index + 1 for index, kind in enumerate(KINDS)}  # 0: background
TINTS = {colour: index + 1 for index, colour in enumerate(COLOURS)}  # 0: no colour of the world
CELL = 16  # px
SIZES = (1 + len(NOUNS), 1 + len(TINTS), 1)  # logits of noun, colour and centre


def cells(scene: Scene) -> Tensor:
    """[64, 3]: noun, colour, and whether a thing has its centre here."""
    side = CANVAS // CELL
    grid = np.zeros((side, side, 3), np.int64)
    for thing in scene.things:
        half = 0.42 * thing.size / CELL  # a sprite does not fill its square
        x, y = thing.x / CELL - 0.5, thing.y / CELL - 0.5  # in cells, cell centres being whole numbers
        rows = slice(max(0, int(np.ceil(y - half))), int(np.floor(y + half)) + 1)
        columns = slice(max(0, int(np.ceil(x - half))), int(np.floor(x + half)) + 1)
        grid[rows, columns, :2] = NOUNS[thing.noun], TINTS.get(thing.colour, 0)
        grid[thing.y // CELL, thing.x // CELL, 2] = 1
    return torch.from_numpy(grid.reshape(-1, 3))


def cell_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropies of logits [B, 64, sum(SIZES)] against target [B, 64, 3], summed over the three questions."""
    nouns, tints, centres = logits.flatten(0, 1).split(SIZES, -1)
    target = target.flatten(0, 1)
    weight = torch.tensor(8.0, device=target.device)  # one cell in 25 holds a centre
    centre = F.binary_cross_entropy_with_logits(centres[:, 0], target[:, 2].float(), pos_weight=weight)
    return F.cross_entropy(nouns, target[:, 0]) + F.cross_entropy(tints, target[:, 1]) + centre
