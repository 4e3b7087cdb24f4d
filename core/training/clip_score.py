"""Train the small CLIP: python -m core.training.clip_score --minutes 20

Contrastive, with several positives: a caption matches every image of the batch whose scene entails it, so partial
captions are not punished for what they leave out. Half of the batch are scenes one corruption away from the others.
Saved the way open_clip saves, with a tokenizer of its own; needs the shared tokenizer's weights and the artwork.
"""

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import open_clip
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from core.generators.emoji_ar import load_tokenizer
from core.models.text import TABLE
from core.models.tokenizer import Tokenizer
from core.training.cells import SIZES, cell_loss, cells
from core.training.damage import Damage, apply, sample_damage
from core.training.loop import Options, export, options, train
from core.training.verifier_checks import Score, check_matching, sheet
from core.verifiers.clip_score import ids
from core.world.captions import INDEX, MAX_WORDS, VOCABULARY, describe
from core.world.compose import atlas_on, compose
from core.world.corruptions import Wish, corrupt, left_out, read, wrong_atoms
from core.world.scene import Scene, sample_scene

WORDS = MAX_WORDS + 1  # and <end>
MODEL = {
    "embed_dim": 256,
    "vision_cfg": {"image_size": 128, "layers": [1, 2, 2, 1], "width": 16},
    "text_cfg": {
        "context_length": WORDS, "vocab_size": TABLE, "width": 128, "heads": 4, "layers": 3,
        "hf_tokenizer_name": "local", "pool_type": "eos", "pad_id": INDEX["<pad>"], "eos_id": INDEX["<end>"],
    },
}  # fmt: skip
PREPROCESS = {"size": 128, "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic"}


@dataclass(frozen=True)
class Batch:
    scenes: list[Scene]
    words: Tensor  # [B, WORDS]
    matches: Tensor  # bool [B, B]: caption of the row, image of the column
    untold: Tensor  # bool [B, B]: fails the caption in the way that is left out of training, so neither right nor wrong
    damages: list[Damage]
    cells: Tensor  # [B, 64, 5]


class Student(nn.Module):
    """The CLIP model and the head of its auxiliary task."""

    def __init__(self):
        super().__init__()
        self.clip = open_clip.CLIP(**MODEL)
        self.name = nn.Conv2d(16 * MODEL["vision_cfg"]["width"], sum(SIZES), 1)

    def see(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images -> normalised embeddings [B, 256] and logits of the cells [B, 64, C]."""
        visual = self.clip.visual
        middle = visual.layer3(visual.layer2(visual.layer1(visual.stem(images))))  # [B, 256, 8, 8]
        embedding = visual.attnpool(visual.layer4(middle))
        return F.normalize(embedding, dim=-1), self.name(middle).flatten(2).transpose(1, 2)


def layers(model: Student) -> list[nn.Module]:
    visual = model.clip.visual
    return [visual.layer1, visual.layer2, visual.layer3, visual.layer4]


def entails(wish: Wish, scene: Scene) -> bool:
    """The scene shows everything that the caption says and nothing else."""
    return wrong_atoms(wish, scene) == 0


def table(holds: Callable[[Wish, Scene], bool], captions: list[str], scenes: list[Scene]) -> Tensor:
    """bool [captions, scenes]."""
    wishes = [read(caption) for caption in captions]
    return torch.tensor([[holds(wish, scene) for scene in scenes] for wish in wishes])


def batch(rng: random.Random, size: int) -> Batch:
    scenes, damages = [], []
    for _ in range(size // 2):
        scene = sample_scene(rng)
        scenes += [scene, corrupt(rng, scene)]
        damages += [sample_damage(rng, coded=0.25)] * 2  # the tokenizer costs more than this model
    captions = [describe(scene, rng) for scene in scenes]
    shown = torch.stack([cells(scene) for scene in scenes])
    matches, untold = (table(holds, captions, scenes) for holds in (entails, left_out))
    return Batch(scenes, ids(captions, WORDS), matches, untold, damages, shown)


def contrast(logits: Tensor, matches: Tensor) -> Tensor:
    """Cross-entropy of each row of logits [B, B] against its matches, all equally likely."""
    target = matches.float() / matches.sum(-1, keepdim=True).clamp(min=1)
    return -(target * logits.log_softmax(-1)).sum(-1).mean()


def make_loss(tokenizer: Tokenizer):
    def loss(model: Student, data: Batch, noise: torch.Generator) -> tuple[Tensor, dict]:
        parts = data.words, data.matches, data.untold, data.cells
        words, matches, untold, shown = (part.to(noise.device) for part in parts)
        images = apply(tokenizer, compose(data.scenes, atlas_on(noise.device.type)), data.damages, noise)
        seen, named = model.see(images.contiguous(memory_format=torch.channels_last))
        said = model.clip.encode_text(words, normalize=True)
        logits = (model.clip.logit_scale.clamp(max=4.6).exp() * said @ seen.T).masked_fill(untold, -1e4)
        value = 0.5 * (contrast(logits, matches) + contrast(logits.T, matches.T))
        hits = matches.gather(1, logits.argmax(1, keepdim=True)).float().mean()
        told = cell_loss(named, shown)
        return value + 0.5 * told, {"contrast": value.detach(), "retrieval": hits, "cells": told.detach()}

    return loss


def scorer(clip: nn.Module) -> Score:
    """100 x cosine."""

    def score(images: Tensor, prompts: list[str]) -> Tensor:
        seen = clip.encode_image(images.contiguous(memory_format=torch.channels_last), normalize=True)
        return 100 * (seen * clip.encode_text(ids(prompts, WORDS), normalize=True)).sum(-1)

    return score


def save_tokenizer(folder: Path) -> None:
    """A word-level tokenizer over the world's vocabulary; it expects the words that `captions.words` gives."""
    from tokenizers import Tokenizer as Words
    from tokenizers import models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = Words(models.WordLevel({word: index for index, word in enumerate(VOCABULARY)}, unk_token="<pad>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing(single="$A <end>", special_tokens=[("<end>", INDEX["<end>"])])
    fast = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<end>", unk_token="<pad>")
    fast.save_pretrained(folder)


def main() -> None:
    opt: Options = options("clip_score", __doc__, minutes=20, batch=64, lr=1.5e-3)
    tokenizer = load_tokenizer().to(opt.device)
    torch.manual_seed(opt.seed)
    model, loss = Student().to(memory_format=torch.channels_last), make_loss(tokenizer)
    model, progress = train(model, batch, loss, opt, ema=0.998, parts=layers, kept=lambda student: student.clip)
    clip, tokenizer = model.clip.eval().cpu(), tokenizer.cpu()
    metrics = check_matching(scorer(clip), tokenizer, count=160)
    export(clip, opt, progress, MODEL, metrics, ABOUT)
    folder = opt.out / opt.name
    folder.mkdir(exist_ok=True)
    shutil.move(opt.out / f"{opt.name}.safetensors", folder / "open_clip_model.safetensors")
    config = {"model_cfg": MODEL, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=1) + "\n")
    save_tokenizer(folder)
    Image.fromarray(sheet(scorer(clip), tokenizer)).save(opt.out / f"{opt.name}.png")


ABOUT = (
    "A small CLIP of the emoji world: cosine of an image's and a prompt's embedding, times 100. Alignment, cheap, "
    "blind to who stands left of whom, as CLIP is. Read by open_clip from the folder `clip_score`. Labels come from "
    "construction only."
)

if __name__ == "__main__":
    main()
