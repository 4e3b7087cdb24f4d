"""What trainers print of a verifier on scenes it has not seen: which of two images shows the prompt, and how early.

The two images differ by one corruption and the prompt is complete, so chance is one half. Figures come with 95%
intervals: Wilson's for shares, a normal one over prompts for correlations. Bars, blind checks and costs are the
evaluation's: python -m core.evaluation.verifier_report.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from core.models.tokenizer import SCALES, Tokenizer
from core.models.weights import to_images
from core.world.captions import full_prompt
from core.world.compose import atlas_on, compose
from core.world.corruptions import change, corrupt
from core.world.holdouts import held_out
from core.world.scene import Scene, sample_scene

Score = Callable[[Tensor, list[str]], Tensor]  # images [B, 3, 128, 128] in [-1, 1] and a prompt for each -> [B]
TESTED = (
    "replace object", "replace colour", "replace pattern", "replace size",
    "swap attribute", "swap relation", "count +-1",
)  # fmt: skip
SHOWN = (3, 4, 5, 6)  # numbers of scales whose decodes are tested; 6 is the finished image
CHUNK = 64


@dataclass(frozen=True)
class Pairs:
    """Prompts, images that show them and images that almost do, [N, 3, 128, 128], with the prompts of these."""

    prompts: list[str]
    others: list[str]
    right: Tensor
    wrong: Tensor


def draw(scenes: list[Scene]) -> Tensor:
    return compose(scenes, atlas_on("cpu"))


def make_pairs(kind: str, count: int, seed: str = "verifier validation", unseen: bool = False) -> Pairs:
    """`count` scenes to which the corruption `kind` applies, always the same ones of a seed.

    With `unseen` each scene holds something that holdouts.py keeps out of all training.
    """
    rng = random.Random(f"{seed}: {kind}")
    found: list[tuple[Scene, Scene]] = []
    while len(found) < count:
        scene = sample_scene(rng, allow_held_out=unseen)
        if unseen == (held_out(scene) is not None) and (other := change(kind, rng, scene, unseen)) is not None:
            found.append((scene, other))
    prompts, others = ([full_prompt(scene) for scene in scenes] for scenes in zip(*found, strict=True))
    right, wrong = (draw(scenes) for scenes in zip(*found, strict=True))
    return Pairs(prompts, others, right, wrong)


def scores(score: Score, images: Tensor, prompts: list[str]) -> Tensor:
    parts = [score(images[i : i + CHUNK], prompts[i : i + CHUNK]) for i in range(0, len(images), CHUNK)]
    return torch.cat(parts)


@torch.no_grad()
def decodes(tokenizer: Tokenizer, images: Tensor, scales: Sequence[int]) -> list[Tensor]:
    """Images through the tokenizer, decoded after each number of scales in `scales`."""
    found = [[] for _ in scales]
    for part in images.split(CHUNK):
        _, sums, _ = tokenizer.quantise(tokenizer.encode(part))
        for decoded, number in zip(found, scales, strict=True):
            decoded.append(tokenizer.decode(sums[number - 1]).clamp(-1, 1))
    return [torch.cat(parts) for parts in found]


def share(hits: Tensor) -> str:
    """A share of True with Wilson's 95% interval."""
    n, p, z = len(hits), float(hits.float().mean()), 1.96
    centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return f"{p:.3f} [{(centre - half) / (1 + z * z / n):.3f}, {(centre + half) / (1 + z * z / n):.3f}]"


def mean(values: Tensor) -> str:
    """A mean with its normal 95% interval."""
    half = 1.96 * float(values.std()) / math.sqrt(len(values))
    return f"{float(values.mean()):.3f} [{float(values.mean()) - half:.3f}, {float(values.mean()) + half:.3f}]"


def spearman(a: Tensor, b: Tensor) -> Tensor:
    """Rank correlation along the last axis, ties broken by order."""
    ranks = [x.argsort(-1).argsort(-1).float() for x in (a, b)]
    x, y = (rank - rank.mean(-1, keepdim=True) for rank in ranks)
    return (x * y).sum(-1) / (x.square().sum(-1) * y.square().sum(-1)).sqrt()


@torch.no_grad()
def check_matching(score: Score, tokenizer: Tokenizer, count: int = 256) -> dict[str, str]:
    """Two-way accuracies by corruption and damage, and rank correlation by scale."""
    metrics = {}
    for kind in TESTED:
        pairs = make_pairs(kind, count)
        shown = [[images, *decodes(tokenizer, images, SHOWN)] for images in (pairs.right, pairs.wrong)]
        names = ["clean render", *(f"decode of {k} scales" for k in SHOWN)]
        for name, right, wrong in zip(names, *shown, strict=True):
            prefers = scores(score, right, pairs.prompts) > scores(score, wrong, pairs.prompts)
            metrics[f"2-way, {kind}, {name}"] = share(prefers)
    return metrics | _by_scale(score, tokenizer)


def _by_scale(score: Score, tokenizer: Tokenizer, prompts: int = 40, candidates: int = 8) -> dict[str, str]:
    """Within-prompt Spearman of the score of each scale's preview with the score of the finished decode."""
    rng = random.Random("verifier validation: scales")
    scenes, texts = [], []
    for _ in range(prompts):
        scene = sample_scene(rng)
        scenes += [scene, *(corrupt(rng, scene, rng.choice((1, 1, 2, 3))) for _ in range(candidates - 1))]
        texts += [full_prompt(scene)] * candidates
    images = draw(scenes)
    shown = decodes(tokenizer, images, range(1, len(SCALES) + 1))
    by_scale = [scores(score, seen, texts).view(prompts, candidates) for seen in shown]
    return {
        f"Spearman of scale {k + 1} with the finished image": mean(spearman(early, by_scale[-1]))
        for k, early in enumerate(by_scale[:-1])
    }


def calibration(count: int) -> tuple[Tensor, list[str], list[str]]:
    """Clean renders, their own prompts and prompts of other scenes."""
    rng = random.Random("verifier calibration")
    scenes = [sample_scene(rng) for _ in range(count)]
    own = [full_prompt(scene) for scene in scenes]
    return draw(scenes), own, own[1:] + own[:1]


@torch.no_grad()
def sheet(score: Score, tokenizer: Tokenizer, rows: int = 8) -> np.ndarray:
    """Rows of one prompt each: the faithful render, four corruptions, and previews of the faithful one, scored."""
    rng = random.Random("verifier sheet")
    lines = []
    while len(lines) < rows:
        scene = sample_scene(rng)
        others = [change(name, rng, scene) for name in TESTED]
        kept = [(name, other) for name, other in zip(TESTED, others, strict=True) if other is not None][:4]
        if len(kept) == 4:
            lines.append(_row(score, tokenizer, scene, kept))
    return np.concatenate(lines)


def _row(score: Score, tokenizer: Tokenizer, scene: Scene, others: list[tuple[str, Scene]]) -> np.ndarray:
    faithful = draw([scene])
    previews = decodes(tokenizer, faithful, SHOWN)
    images = torch.cat([faithful, draw([other for _, other in others]), *previews])
    prompt = full_prompt(scene)
    names = ["faithful", *(name for name, _ in others), *(f"{k} scales" for k in SHOWN)]
    labels = [f"{name} {float(v):.2f}" for name, v in zip(names, score(images, [prompt] * len(images)), strict=True)]
    return strip(to_images(images), labels, prompt)


def strip(images: np.ndarray, labels: list[str], title: str) -> np.ndarray:
    """Images [N, H, H, 3] side by side, a title above and a label under each."""
    count, side = images.shape[:2]
    page = Image.new("RGB", (count * (side + 4), side + 32), "white")
    pen = ImageDraw.Draw(page)
    pen.text((2, 2), title, fill="black")
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        page.paste(Image.fromarray(image), (index * (side + 4), 16))
        pen.text((index * (side + 4) + 2, side + 18), label, fill="black")
    return np.asarray(page)
