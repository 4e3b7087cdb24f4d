"""What a search needs of a scorer. Higher is always better.

A verifier may also tell what it made its score of: `answers(prompt, images)` gives for each image a list of (question,
probability of yes). Where there is such a method its answers are shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from core.search.budget import Cost

if TYPE_CHECKING:
    import numpy as np


class Verifier(Protocol):
    name: str
    cost: Cost           # of one image: flops_verifier and verifier_calls=1
    max_batch: int       # images a call should take; our own score them in < 150 ms on two CPU cores
    weights_bytes: int   # of its networks
    image_bytes: int     # working memory for one image

    def score(self, prompt: str, images: np.ndarray) -> list[float]:
        """One finite number for each image, uint8 [B, H, W, 3]; independent of the rest of the batch."""
