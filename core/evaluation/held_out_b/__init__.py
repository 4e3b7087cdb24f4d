"""Held-out verifier B: scores what searches found and guides none. For reporting only, as the oracle is.

Another architecture, other data and other damage than the verifiers that can be chosen (EVALUATION: a gain that B does
not see is a gain on paper). No registry knows it; a test holds that nothing which guides can import it.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from core.search.errors import WeightsMissing

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from core.evaluation.held_out_b.model import HeldOutB

FOLDER = Path(__file__).resolve().parents[3] / "assets" / "held_out_b"
UNDECIDED = math.log(0.5)  # the score where the prompt names nothing that could be asked about
CHUNK = 32  # images at once


class ScoreB:
    """The contract of core/verifiers/base.py as far as it is about scores."""

    name = "held_out_b"

    def __init__(self, model: HeldOutB):
        from core.models.memory import weights_bytes

        self.model, self.weights_bytes = model, weights_bytes(model)

    def score(self, prompt: str, images: np.ndarray) -> list[float]:
        """The mean log-probability of yes over the prompt's questions, for each image, uint8 [B, 128, 128, 3]."""
        said = [[math.log(max(yes, 1e-12)) for _, yes in rows] for rows in self.answers(prompt, images)]
        return [sum(row) / len(row) if row else UNDECIDED for row in said]

    def answers(self, prompt: str, images: np.ndarray) -> list[list[tuple[str, float]]]:
        """For each image the questions of the prompt, one an atom, and the probability of yes."""
        from core.world.questions import questions

        texts = [question.text for question in questions(prompt)]
        return [list(zip(texts, row, strict=False)) for row in self._said(prompt, images)]

    def _said(self, prompt: str, images: np.ndarray) -> list[list[float]]:
        """[B, MAX_ASKED]: padded with empty questions, so that every prompt costs the same."""
        import numpy as np
        import torch
        import torch.nn.functional as F

        from core.evaluation.held_out_b.model import encode
        from core.models.weights import from_images
        from core.world.questions import MAX_ASKED, questions

        asked = encode(questions(prompt))
        asked = F.pad(asked, (0, 0, 0, MAX_ASKED - len(asked)))
        parts: list[Tensor] = []
        with torch.inference_mode():
            for start in range(0, len(images), CHUNK):
                part = from_images(np.array(images[start : start + CHUNK], order="C"))
                parts.append(self.model(part, asked.expand(len(part), -1, -1)).double().sigmoid())
        return torch.cat(parts).tolist()


@lru_cache(maxsize=1)
def load_b() -> ScoreB:
    """The committed weights. Raises WeightsMissing with the way to get them."""
    from core.evaluation.held_out_b.model import HeldOutB
    from core.models.weights import load_weights, sha256

    path, card = FOLDER / "held_out_b.safetensors", FOLDER / "held_out_b.json"
    remedy = "fetch it with the repository or run python -m core.evaluation.held_out_b.train"
    if not path.exists() or not card.exists():
        raise WeightsMissing(f"{path} or its card is missing: {remedy}")
    if sha256(path) != json.loads(card.read_text())["sha256"]:
        raise WeightsMissing(f"{path} is not the file of its card: {remedy}")
    return ScoreB(load_weights(HeldOutB(), path))


load = load_b
