"""The verifier `aesthetic-laion`: how much people would like the look of an image, about 1 to 10. Blind to the prompt.

LAION's improved aesthetic predictor (v2, `sac+logos+ava1-l14-linearMSE.pth`, Apache-2.0): five linear layers without
activations on the unit embedding of CLIP ViT-L/14. 4 MB beside the CLIP, which is `clip_score-l14`'s; 0.16 TFLOP an
image.
"""

from pathlib import Path

import numpy as np
import torch

from core.models.checkpoint_files import fill, read_tensors
from core.models.linear_head import LinearHead
from core.models.memory import weights_bytes
from core.search.budget import Cost
from core.verifiers.open_clip_score import OpenClip, load_shared
from core.verifiers.pretrained import images_a_call

PACKAGE, FILE = "laion-aesthetic", "sac+logos+ava1-l14-linearMSE.pth"


class LaionAesthetic:
    """See core/verifiers/base.py."""

    name = "aesthetic-laion"

    def __init__(self, clip: OpenClip, head: LinearHead):
        self.clip, self.head = clip, head
        self.cost = Cost(flops_verifier=clip.image_flops() + head.flops(), verifier_calls=1)
        self.max_batch = images_a_call(clip.model, 16)
        self.weights_bytes = weights_bytes(clip.model, head)
        self.image_bytes = clip.image_bytes()

    @torch.inference_mode()
    def score(self, prompt: str, images: np.ndarray) -> list[float]:
        """One number for each image, uint8 [B, H, W, 3] of any size, whatever the prompt."""
        return self.head(self.clip.see(images)).tolist()


def load_head(path: Path, clip: OpenClip) -> LinearHead:
    """The published head, in float32 beside its CLIP. Raises WeightsMissing."""
    tensors = read_tensors(path)
    head = fill(LinearHead(clip.width), tensors, path)
    return head.float().to(clip.model.visual.conv1.weight.device)


def load() -> LaionAesthetic:
    """The downloaded packages laion-aesthetic and clip-vit-l-14. Raises WeightsMissing."""
    from core.packages.catalogue import located

    head = located(PACKAGE) / FILE
    clip = load_shared()
    return LaionAesthetic(clip, load_head(head, clip))
