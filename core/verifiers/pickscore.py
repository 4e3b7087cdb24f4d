"""The verifier `pickscore`: CLIP ViT-H/14 trained on people's choices between two images (Kirstain et al. 2023).

Its scale times the cosine of image and prompt, about 16 to 25. The code is MIT, the model's page names no licence;
986 M parameters, 3.9 GB in float32 and half of it in 16 bits, 15 MB an image beside them; 0.38 TFLOP an image with its
prompt, 5 s on one CPU core.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core.models import transformer_flops as flops
from core.models.memory import weights_bytes
from core.search.budget import Cost
from core.verifiers.clip_pixels import clip_pixels
from core.verifiers.pretrained import images_a_call, load_pretrained, load_tokenizer

PACKAGE = "pickscore"


class PickScore:
    """See core/verifiers/base.py."""

    name = "pickscore"

    def __init__(self, model: Any, tokenizer: Any):
        self.model, self.tokenizer = model, tokenizer
        self.cost = Cost(flops_verifier=_flops(model.config), verifier_calls=1)
        self.max_batch = images_a_call(model, 8)
        self.weights_bytes = weights_bytes(model)
        self.image_bytes = _image_numbers(model.config.vision_config) * model.dtype.itemsize

    @torch.inference_mode()
    def score(self, prompt: str, images: np.ndarray) -> list[float]:
        """One number for each image, uint8 [B, H, W, 3] of any size."""
        pixels = clip_pixels(images, self.model.config.vision_config.image_size)
        seen = self.model.get_image_features(pixels.to(self.model.device, self.model.dtype)).pooler_output  # [B, D]
        said = self.model.get_text_features(**self._read(prompt)).pooler_output  # [1, D]
        cosines = F.cosine_similarity(seen.float(), said.float())
        return (self.model.logit_scale.float().exp() * cosines).tolist()

    def _read(self, prompt: str) -> dict[str, Tensor]:
        """Padded and cut to the length that the model was trained with, so that every prompt costs the same."""
        length = self.model.config.text_config.max_position_embeddings
        said = self.tokenizer(prompt, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
        return {name: said[name].to(self.model.device) for name in ("input_ids", "attention_mask")}


def _flops(config: Any) -> int:
    """Of one image and its prompt."""
    vision, text = config.vision_config, config.text_config
    seen = flops.vision_tower(vision.image_size, vision.patch_size, vision.hidden_size, vision.num_hidden_layers,
                              vision.intermediate_size, config.projection_dim)  # fmt: skip
    said = flops.text_tower(text.max_position_embeddings, text.hidden_size, text.num_hidden_layers,
                            text.intermediate_size, config.projection_dim)  # fmt: skip
    return seen + said


def _image_numbers(vision: Any) -> int:
    """Numbers held at a time for one image, about: the tokens of a layer's MLP."""
    tokens = (vision.image_size // vision.patch_size) ** 2 + 1
    return tokens * (3 * vision.hidden_size + 2 * vision.intermediate_size)


def load_from(folder: Path, device: str, dtype: torch.dtype) -> PickScore:
    """The scorer from a folder in transformers' layout. Raises WeightsMissing."""
    from transformers import CLIPModel

    return PickScore(load_pretrained(CLIPModel, folder, device, dtype), load_tokenizer(folder))


def load() -> PickScore:
    """The downloaded package pickscore, where models run on this machine. Raises WeightsMissing."""
    from core.packages.catalogue import located
    from core.place import place

    here = place()
    return load_from(located(PACKAGE), here.device, getattr(torch, here.dtype))
