"""What a reader should answer about scenes that were drawn by us, and how wrong its answers are.

Letters: B batch, T most things in a scene, s side of the grid.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from core.evaluation.oracle.reader import BACKDROPS, NOUNS, PRINTS, TINTS, USUAL
from core.world.scene import CANVAS, Scene, Thing

NONE = -1  # no such answer: not asked
CORE = 0.4  # a cell answers for a thing where its heat is above this
SPREAD = 0.14  # standard deviation of a centre's heat, in sides


def truth(scenes: Sequence[Scene]) -> dict[str, Tensor]:
    """Placed scenes -> boxes [B, T, 3]: x, y and side in px; looks [B, T, 3]: noun, colour, pattern, or NONE."""
    most = max(1, max(len(scene.things) for scene in scenes))
    boxes = [[(t.x, t.y, t.size) for t in scene.things] for scene in scenes]
    looks = [[_look(thing) for thing in scene.things] for scene in scenes]
    away, nothing = (-1e4, -1e4, 1.0), (NONE, NONE, NONE)
    return {
        "boxes": torch.tensor([[*row, *[away] * (most - len(row))] for row in boxes], dtype=torch.float32),
        "looks": torch.tensor([[*row, *[nothing] * (most - len(row))] for row in looks]),
        "background": torch.tensor([BACKDROPS.index(scene.background) for scene in scenes]),
    }


def _look(thing: Thing) -> tuple[int, int, int]:
    said = ((thing.noun, NOUNS), (thing.colour, TINTS), (thing.pattern, PRINTS))
    return tuple(NONE if name is None else names.index(name) for name, names in said)


def targets(known: dict[str, Tensor], grid: int) -> dict[str, Tensor]:
    """What `truth` says -> heat [B, s, s]; noun, colour, pattern [B, s, s] or NONE; place [B, 3, s, s]; background [B].

    place: x and y of the centre from the middle of the cell, in cells, and log2 of the side over USUAL. weight
    [B, s, s]: the cells that answer for a thing share a weight of one, however large it is.
    """
    boxes, looks, cell = known["boxes"], known["looks"], CANVAS / grid
    middles = (torch.arange(grid, device=boxes.device) + 0.5) * cell
    x, y, side = (boxes[:, :, i, None, None] for i in range(3))  # [B, T, 1, 1]
    dx, dy = x - middles[None, None, None, :], y - middles[None, None, :, None]
    heat, owner = torch.exp(-(dx**2 + dy**2) / (2 * (SPREAD * side) ** 2)).max(1)  # [B, s, s]
    heat = torch.where(_nearest(dx, dy, cell).any(1), heat.clamp(min=0.9), heat)
    batch = torch.arange(len(boxes), device=boxes.device)[:, None, None]
    own, look = boxes[batch, owner], looks[batch, owner]  # [B, s, s, 3]
    core = (heat >= CORE).float()
    look = torch.where(core[..., None] > 0, look, NONE)
    cells = boxes.new_zeros(boxes.shape[:2]).scatter_add(1, owner.flatten(1), core.flatten(1))  # [B, T]
    weight = core / cells[batch, owner].clamp(min=1)
    place = torch.stack([
        (own[..., 0] - middles[None, None, :]) / cell, (own[..., 1] - middles[None, :, None]) / cell,
        (own[..., 2] / USUAL).log2(),
    ], 1)  # fmt: skip
    answers = dict(zip(("noun", "colour", "pattern"), look.unbind(-1), strict=True))
    return {"heat": heat, "weight": weight, "place": place, "background": known["background"]} | answers


def _nearest(dx: Tensor, dy: Tensor, cell: float) -> Tensor:
    """The cell that holds the centre: [B, T, s, s]."""
    return (dx.abs() <= cell / 2) & (dy.abs() <= cell / 2)


def loss(maps: dict[str, Tensor], wanted: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
    """Focal loss of the heat (Li et al. 2020, for soft targets), cross-entropies and distances a thing; summed."""
    logits, heat, weight = maps["heat"][:, 0], wanted["heat"], wanted["weight"]
    away = (logits.sigmoid().detach() - heat).abs()
    spots = (weight > 0).sum().clamp(min=1)
    parts = {"heat": 4 * (away**2 * F.binary_cross_entropy_with_logits(logits, heat, reduction="none")).sum() / spots}
    for name in ("noun", "colour", "pattern"):
        entropy = F.cross_entropy(maps[name], wanted[name], ignore_index=NONE, reduction="none")
        parts[name] = (entropy * weight).sum() / (weight * (wanted[name] != NONE)).sum().clamp(min=1)
    off = ((maps["place"] - wanted["place"]).abs() * weight[:, None]).sum((0, 2, 3)) / weight.sum().clamp(min=1)
    parts["place"] = off[0] + off[1] + 4 * off[2]
    parts["background"] = 0.2 * F.cross_entropy(maps["background"], wanted["background"])
    return sum(parts.values()), {name: part.detach() for name, part in parts.items()}
