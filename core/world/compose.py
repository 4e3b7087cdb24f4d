"""Many scenes to pixels at once, on any device: what trainers draw their batches with.

Sprites stay on the device as bytes at every size that was asked for so far; a scene is a list of byte ranges to lay
over its background, so that a batch costs a few gathers whatever is in it. Equal to render.py up to rounding.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from core.world.scene import CANVAS, Scene, Thing
from core.world.sprites import Look, load_atlas, shrinking
from core.world.vocabulary import BACKGROUNDS

PAPER = {name: index for index, name in enumerate(BACKGROUNDS)}


class Atlas:
    """Every look of the world on a device, uint8 RGBA with alpha premultiplied, and smaller copies made on demand."""

    def __init__(self, device: str | torch.device = "cpu", sprites: Mapping[Look, np.ndarray] | None = None):
        sprites = load_atlas() if sprites is None else sprites
        self.device = torch.device(device)
        self.row = {look: index for index, look in enumerate(sprites)}
        self.full = torch.from_numpy(np.stack(list(sprites.values()))).to(self.device)  # [looks, 128, 128, 4]
        self.pixels = torch.empty(1 << 18, 4, dtype=torch.uint8, device=self.device)  # all copies, one after another
        self.used = 0
        self.start: dict[tuple[Look, int], int] = {}  # where a copy begins
        self.paper = torch.tensor(list(BACKGROUNDS.values()), dtype=torch.float32, device=self.device)

    def starts(self, things: Sequence[Thing]) -> list[int]:
        """Where the sprite of every thing begins in `pixels`."""
        keys = [((thing.noun, thing.colour, thing.pattern), thing.size) for thing in things]
        missing: dict[int, dict[Look, None]] = {}
        for look, size in keys:
            if (look, size) not in self.start:
                missing.setdefault(size, {})[look] = None
        for size, found in missing.items():
            self._shrink(list(found), size)
        return [self.start[key] for key in keys]

    def _shrink(self, looks: list[Look], size: int) -> None:
        """Append copies of `looks` at `size` px."""
        matrix = torch.from_numpy(shrinking(self.full.shape[1], size)).to(self.device)
        full = self.full[[self.row[look] for look in looks]].float()
        small = torch.einsum("yv,nvuc,xu->nyxc", matrix, full, matrix)
        small = (small + 0.5).clamp(0, 255).byte().reshape(-1, 4)
        while self.used + len(small) > len(self.pixels):
            self.pixels = torch.cat([self.pixels, torch.empty_like(self.pixels)])
        self.pixels[self.used : self.used + len(small)] = small
        for number, look in enumerate(looks):
            self.start[look, size] = self.used + number * size * size
        self.used += len(small)


@lru_cache(maxsize=4)
def atlas_on(device: str) -> Atlas:
    """The one atlas of a device."""
    return Atlas(device)


@torch.no_grad()
def compose(scenes: Sequence[Scene], atlas: Atlas) -> Tensor:
    """Draw placed scenes: float [B, 3, 128, 128] in [-1, 1] on the atlas's device.

    Things of a scene are laid over one another in their order, as in render.py; they must lie on the canvas. The
    memory format is channels last.
    """
    paper = torch.tensor([PAPER[scene.background] for scene in scenes], device=atlas.device)
    canvas = atlas.paper[paper][:, None].repeat(1, CANVAS * CANVAS, 1)  # [B, 128 * 128, 3], still in [0, 255]
    lay = _lay_one_by_one if atlas.device.type == "cpu" else _lay
    for number in range(max((len(scene.things) for scene in scenes), default=0)):
        lay(canvas, [(i, scene.things[number]) for i, scene in enumerate(scenes) if number < len(scene.things)], atlas)
    canvas.add_(0.5).floor_().clamp_(max=255).mul_(1 / 127.5).sub_(1)
    return canvas.view(len(scenes), CANVAS, CANVAS, 3).permute(0, 3, 1, 2)


def _lay_one_by_one(canvas: Tensor, layer: list[tuple[int, Thing]], atlas: Atlas) -> None:
    """`_lay` for a processor, which is faster at copying windows than at looking up pixels."""
    canvas = canvas.view(-1, CANVAS, CANVAS, 3)
    starts = atlas.starts([thing for _, thing in layer])
    for (index, thing), start in zip(layer, starts, strict=True):
        side, top, left = thing.size, thing.y - thing.size // 2, thing.x - thing.size // 2
        pixels = atlas.pixels[start : start + side * side].view(side, side, 4).float()
        window = canvas[index, top : top + side, left : left + side]
        window.mul_(pixels[..., 3:].mul(-1 / 255).add_(1)).add_(pixels[..., :3])


def _lay(canvas: Tensor, layer: list[tuple[int, Thing]], atlas: Atlas) -> None:
    """Lay one thing over each of some scenes; canvas [B, 128 * 128, 3]."""
    canvas = canvas.view(-1, 3)
    starts = atlas.starts([thing for _, thing in layer])
    corners = [
        (index * CANVAS + thing.y - thing.size // 2) * CANVAS + thing.x - thing.size // 2 for index, thing in layer
    ]
    sizes = [thing.size for _, thing in layer]
    start, corner, size = torch.tensor([starts, corners, sizes]).to(atlas.device)
    count = sum(side * side for side in sizes)
    which = torch.repeat_interleave(size * size, output_size=count)  # the thing of every pixel, [pixels]
    first = (size * size).cumsum(0) - size * size
    local = torch.arange(count, device=atlas.device) - first[which]
    row = local // size[which]
    target = corner[which] + row * CANVAS + local - row * size[which]
    pixels = atlas.pixels[start[which] + local].float()  # [pixels, 4]
    under = canvas[target]
    canvas[target] = under * (1 - pixels[:, 3:] / 255) + pixels[:, :3]
