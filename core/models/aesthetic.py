"""Looks of an image, blind to any prompt: a small network on frozen features of the CLIP image tower.

LAION's aesthetic predictor in small: where that reads the embedding alone, this also reads means and deviations of
two early layers, which know blur, and a map of how busy each place is, which knows arrangement.
"""

import torch
from torch import Tensor, nn


@torch.no_grad()
def features(visual: nn.Module, images: Tensor) -> Tensor:
    """open_clip's ModifiedResNet and images [B, 3, 128, 128] in [-1, 1] -> [B, F]."""
    early = visual.layer1(visual.stem(images.contiguous(memory_format=torch.channels_last)))
    middle = visual.layer2(early)
    late = visual.layer3(middle)  # [B, C, 8, 8]
    embedding = nn.functional.normalize(visual.attnpool(visual.layer4(late)), dim=-1)
    pooled = [part for layer in (early, middle) for part in (layer.mean((2, 3)), layer.std((2, 3)))]
    return torch.cat([16 * embedding, *pooled, late.mean(1).flatten(1)], -1)


class Aesthetic(nn.Module):
    """Features [B, F] -> scores [B], about 1 to 10."""

    def __init__(self, width: int, hidden: int = 128):
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm1d(width, affine=False), nn.Linear(width, hidden), nn.GELU(),
            nn.Linear(hidden, 32), nn.GELU(), nn.Linear(32, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return 5.5 + 4.5 * self.body(x).squeeze(-1)
