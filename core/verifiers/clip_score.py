"""The verifier `clip_score`: 100 x cosine of the image's and the prompt's embedding in a small open_clip model.

Alignment, cheap, blind to relations (Hessel et al. 2021, without their clamp at zero). Loaded by open_clip's own call
from a folder in open_clip's layout, so a larger CLIP in that layout is read the same way.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.models.memory import weights_bytes
from core.models.text import tokenise
from core.models.weights import weights_file
from core.search.budget import Cost
from core.verifiers.pixels import pixels

FLOPS = 203_722_240  # of one image and its prompt, by torch.utils.flop_counter


def load_clip() -> nn.Module:
    """The committed model. open_clip takes seconds to import and is imported here. Raises WeightsMissing."""
    folder = weights_file("clip_score", "open_clip_model.safetensors").parent
    import open_clip

    model, _ = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    return model.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def ids(prompts: list[str], length: int) -> Tensor:
    """Token ids [B, length]: what open_clip.get_tokenizer gives for the known words of each prompt."""
    words = tokenise(prompts)
    return F.pad(words, (0, length - words.shape[1]))


class ClipScore:
    name = "clip_score"
    cost = Cost(flops_verifier=FLOPS, verifier_calls=1)
    max_batch = 16  # 19 ms on two cores
    image_bytes = 1_500_000  # measured

    def __init__(self, clip: nn.Module):
        self.clip = clip
        self.weights_bytes = weights_bytes(clip)

    @torch.inference_mode()
    def score(self, prompt: str, images: np.ndarray) -> list[float]:
        """One number from -100 to 100 for each image, uint8 [B, 128, 128, 3]."""
        batch = pixels(images).contiguous(memory_format=torch.channels_last)
        seen = self.clip.encode_image(batch, normalize=True)  # [B, 256]
        said = self.clip.encode_text(ids([prompt], self.clip.context_length), normalize=True)  # [1, 256]
        return (100 * (seen * said).sum(-1)).tolist()


def load() -> ClipScore:
    return ClipScore(load_clip())
