"""Both readers together: what they see in finished images. For reporting only, never for search."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from core.evaluation.oracle.agree import read
from core.evaluation.oracle.check import Reading
from core.evaluation.oracle.reader import READERS, Seen, seen
from core.models.weights import from_images, load_config, load_weights, sha256
from core.search.errors import WeightsMissing

FOLDER = Path(__file__).resolve().parents[3] / "assets" / "oracle"
BATCH = 32


class Oracle:
    """Reads images with two readers that were trained apart; what either denies is unclear."""

    def __init__(self, a: nn.Module, b: nn.Module, device: str = "cpu"):
        self.readers, self.device = [reader.eval().to(device) for reader in (a, b)], device

    def read(self, images: Sequence[np.ndarray]) -> list[Reading]:
        """uint8 images [128, 128, 3] -> a reading of each."""
        found: list[Reading] = []
        for start in range(0, len(images), BATCH):
            views = (self._seen(reader, images[start : start + BATCH]) for reader in self.readers)
            found += map(read, *views)
        return found

    @torch.inference_mode()
    def _seen(self, reader: nn.Module, images: Sequence[np.ndarray]) -> list[Seen]:
        return seen(reader(from_images(np.stack(images)).to(self.device)))


def load_reader(name: str, folder: Path = FOLDER) -> nn.Module:
    """Raises WeightsMissing with the way to get them."""
    path, card = folder / f"reader_{name}.safetensors", folder / f"reader_{name}.json"
    remedy = f"run python -m core.evaluation.oracle.train --reader {name}"
    if not path.exists() or not card.exists():
        raise WeightsMissing(f"{path} or its card is missing: {remedy}")
    if sha256(path) != json.loads(card.read_text())["sha256"]:
        raise WeightsMissing(f"{path} is not the file of its card: {remedy}")
    return load_weights(READERS[load_config(path)["reader"]](), path)


@lru_cache(maxsize=1)
def load_oracle() -> Oracle:
    """The committed oracle. Raises WeightsMissing."""
    return Oracle(load_reader("a"), load_reader("b"))
