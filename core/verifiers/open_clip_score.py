"""The verifier `clip_score-l14`: 100 x cosine of the image's and the prompt's embedding in OpenAI's CLIP ViT-L/14.

Alignment, weak at binding (Hessel et al. 2021, without their clamp at zero). MIT (its copy on the hub says
Apache-2.0); 428 M parameters, 1.7 GB in float32, 17 MB an image beside them; 0.18 TFLOP an image with its prompt, 2.5 s
on one CPU core. Loaded by open_clip's own calls, preprocessing included, from a folder in its layout:
open_clip_config.json, open_clip_model.safetensors, and tokenizer files where the config names one.
`aesthetic-laion` reads images through the same CLIP: whoever loads both holds it once, and each says its weight.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from core.kept import shared
from core.models import transformer_flops as flops
from core.models.memory import weights_bytes
from core.search.budget import Cost
from core.search.errors import WeightsMissing
from core.verifiers.clip_pixels import rgb
from core.verifiers.pretrained import images_a_call

PACKAGE = "clip-vit-l-14"
PRECISIONS = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}


@dataclass(frozen=True)
class OpenClip:
    """A CLIP with plain vision and text transformers, and how it wants images and prompts."""

    model: nn.Module
    transform: Callable[[Image.Image], Tensor]
    tokenizer: Callable[[list[str]], Tensor]

    def see(self, images: np.ndarray) -> Tensor:
        """uint8 [B, H, W, 3] of any size -> unit vectors [B, D] in float32. Raises BadRequest for other images."""
        weight = self.model.visual.conv1.weight
        batch = torch.stack([self.transform(Image.fromarray(image)) for image in rgb(images)])
        return F.normalize(self.model.encode_image(batch.to(weight.device, weight.dtype)).float(), dim=-1)

    def read(self, prompt: str) -> Tensor:
        """A unit vector [1, D] in float32; of a long prompt the beginning."""
        ids = self.tokenizer([prompt]).to(self.model.visual.conv1.weight.device)  # [1, 77]
        return F.normalize(self.model.encode_text(ids).float(), dim=-1)

    @property
    def width(self) -> int:
        return self.model.visual.output_dim

    def image_flops(self) -> int:
        visual, blocks = self.model.visual, self.model.visual.transformer.resblocks
        width, _, patch, _ = visual.conv1.weight.shape
        return flops.vision_tower(visual.image_size[0], patch, width, len(blocks), _hidden(blocks[0]), self.width)

    def text_flops(self) -> int:
        blocks, width = self.model.transformer.resblocks, self.model.token_embedding.weight.shape[1]
        return flops.text_tower(self.model.context_length, width, len(blocks), _hidden(blocks[0]), self.width)

    def image_bytes(self) -> int:
        """Working memory of one image: a layer's tokens, and what its activation makes of them, x * sigmoid(x)."""
        visual, block = self.model.visual, self.model.visual.transformer.resblocks[0]
        tokens, width = visual.positional_embedding.shape
        return tokens * (4 * width + 3 * _hidden(block)) * visual.conv1.weight.element_size()


def _hidden(block: nn.Module) -> int:
    return block.mlp.c_fc.out_features


class OpenClipScore:
    """See core/verifiers/base.py."""

    name = "clip_score-l14"

    def __init__(self, clip: OpenClip):
        self.clip = clip
        self.cost = Cost(flops_verifier=clip.image_flops() + clip.text_flops(), verifier_calls=1)
        self.max_batch = images_a_call(clip.model, 16)
        self.weights_bytes = weights_bytes(clip.model)
        self.image_bytes = clip.image_bytes()

    @torch.inference_mode()
    def score(self, prompt: str, images: np.ndarray) -> list[float]:
        """One number from -100 to 100 for each image, uint8 [B, H, W, 3] of any size."""
        return (100 * (self.clip.see(images) * self.clip.read(prompt)).sum(-1)).tolist()


@shared
def load_clip(folder: Path, device: str, dtype: torch.dtype) -> OpenClip:
    """The CLIP in a folder, one instance a process. Raises WeightsMissing where open_clip cannot load it."""
    import open_clip

    name = f"local-dir:{folder}"
    try:
        model, transform = open_clip.create_model_from_pretrained(name, precision=PRECISIONS[dtype], device=device)
        tokenizer = open_clip.get_tokenizer(name)
    except Exception as error:  # of files that are not there, are damaged, or are another model's
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise WeightsMissing(
            f"open_clip cannot load the model in {folder} ({reason}): fetch it again with "
            f"python -m core.cli download {PACKAGE}"
        ) from error
    return OpenClip(model.eval().requires_grad_(False), transform, tokenizer)


def load_shared() -> OpenClip:
    """The downloaded package clip-vit-l-14, where models run on this machine. Raises WeightsMissing."""
    from core.packages.catalogue import located
    from core.place import place

    here = place()
    return load_clip(located(PACKAGE), here.device, getattr(torch, here.dtype))


def load() -> OpenClipScore:
    return OpenClipScore(load_shared())
