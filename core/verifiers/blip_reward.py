"""The verifier `image_reward-1.0`: ImageReward, trained on people's choices (Xu et al. 2023). About -2 to 2.

Apache-2.0. 446 M parameters, 1.8 GB in float32 and half of it in 16 bits, 12 MB an image beside them; 0.14 TFLOP an
image, 3 s on one CPU core. Reads two files of its package: ImageReward.pt and BERT's vocab.txt.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.models.blip_reward import WORDS, BlipReward, BlipRewardConfig, load_official
from core.models.checkpoint_files import read_tensors
from core.models.memory import weights_bytes
from core.search.budget import Cost
from core.search.errors import WeightsMissing
from core.verifiers.clip_pixels import clip_pixels
from core.verifiers.pretrained import images_a_call


class Words:
    """BERT's uncased word pieces, [CLS] first and [SEP] last, padded and cut to WORDS."""

    def __init__(self, vocabulary: Path):
        from tokenizers import BertWordPieceTokenizer

        if not vocabulary.is_file():
            raise WeightsMissing(f"{vocabulary} is missing: it is vocab.txt of google-bert/bert-base-uncased")
        self._pieces = BertWordPieceTokenizer(str(vocabulary), lowercase=True)
        self._pieces.enable_truncation(WORDS)
        self._pieces.enable_padding(length=WORDS)

    def __call__(self, prompt: str) -> tuple[Tensor, Tensor]:
        """ids and mask [1, WORDS]."""
        found = self._pieces.encode(prompt)
        return torch.tensor([found.ids]), torch.tensor([found.attention_mask])


class BlipRewardScore:
    """See core/verifiers/base.py."""

    name = "image_reward-1.0"

    def __init__(self, reward: BlipReward, words: Words):
        self.reward, self.words = reward, words
        self.cost = Cost(flops_verifier=reward.flops(), verifier_calls=1)
        self.max_batch = images_a_call(reward, 8)
        self.weights_bytes = weights_bytes(reward)
        self.image_bytes = reward.image_bytes()

    @torch.inference_mode()
    def score(self, prompt: str, images: np.ndarray) -> list[float]:
        """One number for each image, uint8 [B, H, W, 3] of any size."""
        weight = self.reward.mlp.layers[0].weight
        batch = clip_pixels(images, self.reward.config.side).to(weight.device, weight.dtype)
        ids, mask = (row.to(weight.device).expand(len(batch), -1) for row in self.words(prompt))
        return self.reward(batch, ids, mask).float().tolist()


def load_from(folder: Path, device: str, dtype: torch.dtype, config: BlipRewardConfig | None = None) -> BlipRewardScore:
    """The scorer from a folder with ImageReward.pt and vocab.txt. Raises WeightsMissing."""
    words = Words(folder / "vocab.txt")
    path = folder / "ImageReward.pt"
    return BlipRewardScore(load_official(read_tensors(path), path, config).to(device, dtype), words)


def load() -> BlipRewardScore:
    """The downloaded package image-reward, where models run on this machine. Raises WeightsMissing."""
    from core.packages.catalogue import located
    from core.place import place

    here = place()
    return load_from(located("image-reward"), here.device, getattr(torch, here.dtype))
