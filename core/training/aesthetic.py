"""Train the aesthetic score: python -m core.training.aesthetic --minutes 4

Regression on the rubric of core/world/rubric.py over clean and damaged renders; the CLIP tower below is frozen, no
prompt comes in. Needs the weights of clip_score and tokenizer, and the artwork.
"""

import math
import random
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from core.generators.emoji_ar import load_tokenizer
from core.models.aesthetic import Aesthetic, features
from core.models.tokenizer import Tokenizer
from core.models.weights import to_images
from core.training.damage import CLEAN, FULL, Damage, apply, sample_damage
from core.training.loop import Options, export, options, train
from core.training.verifier_checks import draw, spearman, strip
from core.verifiers.clip_score import load_clip
from core.world.compose import atlas_on, compose
from core.world.rubric import WEIGHTS, aesthetic, crispness
from core.world.scene import Scene, sample_scene


@dataclass(frozen=True)
class Batch:
    scenes: list[Scene]
    damages: list[Damage]


def batch(rng: random.Random, size: int) -> Batch:
    scenes = [sample_scene(rng) for _ in range(size)]
    scenes = [replace(scene, things=()) if rng.random() < 0.03 else scene for scene in scenes]  # some are empty
    return Batch(scenes, [sample_damage(rng) for _ in scenes])


def rubric(data: Batch, images: Tensor, clean: Tensor) -> Tensor:
    """Scores [B] of damaged images [B, 3, 128, 128] whose clean drawings are known."""
    errors = ((images - clean) / 2).square().mean((1, 2, 3)).tolist()
    scores = [aesthetic(scene, crispness(error)) for scene, error in zip(data.scenes, errors, strict=True)]
    return torch.tensor(scores, device=images.device)


def make_loss(visual: nn.Module, tokenizer: Tokenizer):
    def loss(model: Aesthetic, data: Batch, noise: torch.Generator) -> tuple[Tensor, dict]:
        clean = compose(data.scenes, atlas_on(noise.device.type))
        images = apply(tokenizer, clean, data.damages, noise)
        error = model(features(visual, images)) - rubric(data, images, clean)
        return F.smooth_l1_loss(error, torch.zeros_like(error)), {"absolute error": error.detach().abs().mean()}

    return loss


@torch.no_grad()
def check(model: Aesthetic, visual: nn.Module, tokenizer: Tokenizer, count: int = 1024) -> dict[str, str]:
    """Correlation with the rubric on fresh scenes, all sorts of damage, clean ones and round trips only."""
    rng, noise, metrics = random.Random("aesthetic validation"), torch.Generator().manual_seed(1), {}
    for name, damage in (("all", None), ("clean render", CLEAN), ("round trip", FULL)):
        said, true = [], []
        for _ in range(count // 64):
            data = batch(rng, 64)
            clean = draw(data.scenes)
            images = apply(tokenizer, clean, [damage] * 64 if damage else data.damages, noise)
            said.append(model(features(visual, images)))
            true.append(rubric(data, images, clean))
        said, true = torch.cat(said), torch.cat(true)
        said, true = said[true > 1], true[true > 1]  # empty pictures are too easy
        r = torch.stack([said, true]).corrcoef()[0, 1]
        metrics[f"correlation with the rubric, {name}"] = interval(r, len(said))
        metrics[f"rank correlation with the rubric, {name}"] = interval(spearman(said, true), len(said))
    return metrics


def interval(r: Tensor, count: int) -> str:
    """A correlation with Fisher's 95% interval."""
    z, half = math.atanh(min(float(r), 0.9999)), 1.96 / math.sqrt(count - 3)
    return f"{float(r):.3f} [{math.tanh(z - half):.3f}, {math.tanh(z + half):.3f}]"


@torch.no_grad()
def sheet(model: Aesthetic, visual: nn.Module, tokenizer: Tokenizer) -> np.ndarray:
    """Fresh scenes sorted by score, with the rubric beside it, then one of them ever more damaged."""
    data, noise = batch(random.Random("aesthetic sheet"), 24), torch.Generator().manual_seed(1)
    clean = draw(data.scenes)
    images = apply(tokenizer, clean, data.damages, noise)
    said, true = model(features(visual, images)), rubric(data, images, clean)
    order = said.argsort(descending=True)
    rows = []
    for part in order.split(8):
        labels = [f"{said[i]:.1f} rubric {true[i]:.1f}" for i in part]
        rows.append(strip(to_images(images[part]), labels, "sorted by score"))
    damages = [CLEAN, FULL, *(Damage(scales=k) for k in (5, 4, 3, 2)), Damage(blur=3), Damage(grain=0.15)]
    first = next(image for image, scene in zip(clean, data.scenes, strict=True) if scene.things)
    same = apply(tokenizer, first.expand(8, -1, -1, -1), damages, noise)
    labels = [f"{float(v):.1f}" for v in model(features(visual, same))]
    return np.concatenate([*rows, strip(to_images(same), labels, "clean, scales 6 to 2, blur, noise")])


def main() -> None:
    opt: Options = options("aesthetic", __doc__, minutes=4, batch=64, lr=2e-3)
    visual, tokenizer = load_clip().visual.to(opt.device), load_tokenizer().to(opt.device)
    torch.manual_seed(opt.seed)
    width = features(visual, torch.zeros(1, 3, 128, 128, device=opt.device)).shape[1]
    model, progress = train(Aesthetic(width), batch, make_loss(visual, tokenizer), opt, ema=0.99)
    model, visual, tokenizer = model.cpu(), visual.cpu(), tokenizer.cpu()
    metrics = {"rubric weights": str(WEIGHTS)} | check(model, visual, tokenizer)
    export(model, opt, progress, {"width": width}, metrics, ABOUT)
    Image.fromarray(sheet(model, visual, tokenizer)).save(opt.out / f"{opt.name}.png")


ABOUT = (
    "Looks of an image from about 1 to 10: margins, balance, spacing, contrast and crispness, as the rubric of "
    "core/world/rubric.py says. Reads frozen features of the small CLIP's image tower; blind to the prompt."
)

if __name__ == "__main__":
    main()
