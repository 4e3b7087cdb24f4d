"""The verifier `image_reward`: the embedded image-text reward, good at attributes, counts and places.

Scores compare images of one prompt: about 1 for a faithful clean picture, about -1 for another scene's.
"""

import numpy as np
import torch
import torch.nn.functional as F

from core.models.memory import weights_bytes
from core.models.reward import Reward, RewardConfig
from core.models.text import tokenise
from core.models.weights import load_config, load_weights, weights_file
from core.search.budget import Cost
from core.verifiers.pixels import pixels
from core.world.captions import MAX_WORDS

FLOPS = 510_324_480  # of one image, by torch.utils.flop_counter


class ImageReward:
    name = "image_reward"
    cost = Cost(flops_verifier=FLOPS, verifier_calls=1)
    max_batch = 8  # 20 ms on two cores; more at once is no quicker
    image_bytes = 1_800_000  # measured

    def __init__(self, reward: Reward):
        self.reward = reward
        self.weights_bytes = weights_bytes(reward)

    @torch.inference_mode()
    def score(self, prompt: str, images: np.ndarray) -> list[float]:
        """One number for each image, uint8 [B, 128, 128, 3]."""
        batch = pixels(images)
        words = tokenise([prompt])
        words = F.pad(words, (0, MAX_WORDS + 1 - words.shape[1]))  # so that every prompt costs the same
        return self.reward(batch, words.expand(len(batch), -1)).tolist()


def load() -> ImageReward:
    """The committed weights. Raises WeightsMissing."""
    path = weights_file("image_reward")
    config = RewardConfig(widths=tuple(load_config(path)["widths"]))
    return ImageReward(load_weights(Reward(config), path).to(memory_format=torch.channels_last))
