"""Rotary positions on a grid. Every scale spans the same reference grid, so a place keeps its angle as grids grow.

Letters: n tokens of one grid, E head width.
"""

from functools import lru_cache

import torch
from torch import Tensor

from core.models.infinity.schedule import Grid

BASE = 10000.0


@lru_cache(maxsize=64)
def rope_table(grid: Grid, reference: Grid, head_dim: int, device: torch.device) -> Tensor:
    """Cosines and sines of every token's angles, fp32 [2, n, E / 2]: the row's in front, then the column's."""
    rates = BASE ** (-torch.arange(0, head_dim // 2, 2) / (head_dim // 2))  # [E / 4]
    rows, columns = (_places(count, span) for count, span in zip(grid, reference, strict=True))
    by_row = (rows[:, None] * rates)[:, None].expand(-1, len(columns), -1)  # [h, w, E / 4]
    by_column = (columns[:, None] * rates)[None].expand(len(rows), -1, -1)
    angles = torch.cat([by_row, by_column], -1).flatten(0, 1)  # [n, E / 2]
    return torch.stack([angles.cos(), angles.sin()]).to(device)


def _places(count: int, span: int) -> Tensor:
    """Where `count` rows lie among `span` rows of the reference, in whole rows; halves go to the even one."""
    return torch.tensor([round(place * span / count) for place in range(count)], dtype=torch.float32)


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Turn each pair of neighbours of x [..., n, E] by its angle."""
    cosine, sine = table
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)  # [..., n, E / 2]
    return torch.stack([a * cosine - b * sine, a * sine + b * cosine], -1).flatten(-2)
