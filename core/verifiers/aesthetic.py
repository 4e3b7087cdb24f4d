"""The verifier `aesthetic`: looks only, about 1 to 10, by the rubric of core/world/rubric.py. Ignores the prompt."""

import numpy as np
import torch
from torch import nn

from core.models.aesthetic import Aesthetic, features
from core.models.memory import weights_bytes
from core.models.weights import load_config, load_weights, weights_file
from core.search.budget import Cost
from core.verifiers.clip_score import load_clip
from core.verifiers.pixels import pixels

FLOPS = 163_244_096  # of one image, CLIP's image tower included, by torch.utils.flop_counter


class AestheticScore:
    name = "aesthetic"
    cost = Cost(flops_verifier=FLOPS, verifier_calls=1)
    max_batch = 16  # 24 ms on two cores
    image_bytes = 1_500_000  # measured

    def __init__(self, visual: nn.Module, head: Aesthetic):
        self.visual, self.head = visual, head
        self.weights_bytes = weights_bytes(visual, head)

    @torch.inference_mode()
    def score(self, prompt: str, images: np.ndarray) -> list[float]:
        """One number for each image, uint8 [B, 128, 128, 3], whatever the prompt."""
        return self.head(features(self.visual, pixels(images))).tolist()


def load() -> AestheticScore:
    """The committed weights. Raises WeightsMissing."""
    path = weights_file("aesthetic")
    head = load_weights(Aesthetic(load_config(path)["width"]), path)
    return AestheticScore(load_clip().visual, head)
