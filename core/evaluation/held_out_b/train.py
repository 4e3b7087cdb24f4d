"""Train held-out verifier B: python -m core.evaluation.held_out_b.train --minutes 45

Resumable as every trainer (core/training/loop.py). Scenes, questions and damage of its own: triples of a scene and two
corruptions of it, each image asked about its own prompt, its neighbours' and a stranger's, as often yes as no; damage
is milder at its worst and more often mixed than that of the verifiers that guide. Labels come from construction only.
Writes assets/held_out_b/held_out_b.safetensors, .json, .md and .png.
"""

import json
import random
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from core.evaluation.held_out_b import FOLDER
from core.evaluation.held_out_b.model import GRID, MAPPED, SLOTS, HeldOutB, K, encode
from core.generators.emoji_ar import load_tokenizer
from core.models.tokenizer import SCALES, Tokenizer
from core.models.weights import save_weights, sha256
from core.training.damage import CLEAN, Damage, apply
from core.training.loop import Options, Progress, card, hardware, options, train
from core.training.verifier_checks import Score, check_matching, draw, sheet
from core.world.captions import describe
from core.world.compose import atlas_on, compose
from core.world.corruptions import Wish, change, corrupt, left_out, read
from core.world.questions import ASKED, MAX_ASKED, Question, answer, questions
from core.world.scene import CANVAS, Scene, sample_scene

MEMBERS, ASKS = 3, 10  # images of a triple, questions of an image
HARD = ("count +-1", "swap relation", "swap attribute", None)  # what the second image of a triple is; None: anything
COLUMN = {word: index for index, word in enumerate(MAPPED)}
SURE = 1.15  # relations nearer to their dead zone are not asked


@dataclass(frozen=True)
class Lesson:
    """B images with P questions each, of which some may be padding."""

    scenes: list[Scene]
    damages: list[Damage]
    asked: Tensor  # [B, P, SLOTS]
    yes: Tensor  # [B, P]
    shown: Tensor  # [B, K, 16, 16] 1 where a word is shown, or has its centre in the last


# Data


def batch(rng: random.Random, size: int) -> Lesson:
    triples = [_triple(rng) for _ in range(size // MEMBERS)]
    scenes = [scene for triple in triples for scene in triple]
    prompts = [describe(scene, rng, complete=0.7) for scene in scenes]
    posed = [(read(prompt), questions(prompt)) for prompt in prompts]
    asked, yes = torch.zeros(len(scenes), ASKS, SLOTS, dtype=torch.long), torch.zeros(len(scenes), ASKS)
    for row, scene in enumerate(scenes):
        start = row // MEMBERS * MEMBERS
        near = [posed[n] for n in range(start, start + MEMBERS) if n != row]
        found = choose(rng, scene, [posed[row], *near, posed[(row + MEMBERS) % len(posed)]])
        asked[row, : len(found)] = encode([question for question, _ in found])
        yes[row, : len(found)] = torch.tensor([float(said) for _, said in found])
    damages = [one for _ in triples for one in [damage(rng)] * MEMBERS]
    return Lesson(scenes, damages, asked, yes, torch.from_numpy(np.stack([shown(scene) for scene in scenes])))


def _triple(rng: random.Random) -> list[Scene]:
    """A scene, one that is almost it, and one that is further off."""
    kind = rng.choice(HARD)
    while True:
        scene = sample_scene(rng)
        near = change(kind, rng, scene) if kind else corrupt(rng, scene)
        if near is not None:
            return [scene, near, corrupt(rng, scene, 2)]


def damage(rng: random.Random) -> Damage:
    """A third clean, half coded with few flips, the rest blurred and grainy at once."""
    kind = rng.random()
    if kind < 0.32:
        return CLEAN
    if kind < 0.84:
        scales = rng.choices(range(2, len(SCALES) + 1), (1, 3, 4, 4, 6))[0]
        return Damage(scales, rng.uniform(0, 0.07) if rng.random() < 0.5 else 0.0, grain=rng.choice((0.0, 0.0, 0.03)))
    return Damage(blur=rng.choice((1, 2, 3)), grain=rng.uniform(0.01, 0.14))


def choose(
    rng: random.Random, scene: Scene, posed: list[tuple[Wish, tuple[Question, ...]]]
) -> list[tuple[Question, bool]]:
    """Half of ASKS with yes, half with no, from the first prompts first: its own, its neighbours', a stranger's."""
    parts: dict[bool, list[Question]] = {True: [], False: []}
    for wish, asked in posed:
        if left_out(wish, scene):
            continue
        asked = [question for question in asked if _sure(question, scene)]
        for question in rng.sample(asked, len(asked)):
            parts[answer(question, scene)].append(question)
    found = {said: list(dict.fromkeys(part))[: ASKS // 2] for said, part in parts.items()}
    return [(question, said) for said, part in found.items() for question in part]


def _sure(question: Question, scene: Scene) -> bool:
    clear = answer(question, scene, SURE) == answer(question, scene, 1 / SURE)
    return question.kind != "relation" or clear


def shown(scene: Scene) -> np.ndarray:
    """float32 [K, 16, 16]: the words of each thing over the middle of its square, and its centre."""
    grid, cell = np.zeros((K, GRID, GRID), np.float32), CANVAS / GRID
    for thing in scene.things:
        place = np.array([thing.x, thing.y])
        low, high = (((place + share * thing.size) / cell + 0.5).astype(int) for share in (-0.4, 0.4))
        for word in (thing.noun, thing.colour, thing.pattern, thing.size_name):
            if word:
                grid[COLUMN[word], low[1] : high[1], low[0] : high[0]] = 1
        grid[-1, int(thing.y // cell), int(thing.x // cell)] = 1
    return grid


# Loss


def shown_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Binary cross-entropies of the maps [B, K, 16, 16], a thing's cells weighing as much as all else of its map."""
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    there = wanted.sum()
    return (entropy * wanted).sum() / there + (entropy * (1 - wanted)).sum() / there


def make_loss(tokenizer: Tokenizer):
    def loss(model: HeldOutB, data: Lesson, noise: torch.Generator) -> tuple[Tensor, dict]:
        asked, yes, wanted = (part.to(noise.device) for part in (data.asked, data.yes, data.shown))
        images = apply(tokenizer, compose(data.scenes, atlas_on(noise.device.type)), data.damages, noise)
        features, maps = model.look(images)
        logits = model.answer(features, maps, asked)
        weight = balance(asked[..., 0], yes)
        entropy = F.binary_cross_entropy_with_logits(logits, yes, reduction="none")
        told, named = (entropy * weight).sum() / weight.sum(), shown_loss(maps, wanted)
        right = (((logits > 0) == (yes > 0)) * weight).sum() / weight.sum()
        return told + named, {"answers": told.detach(), "right": right, "shown": named.detach()}

    return loss


def balance(kinds: Tensor, yes: Tensor) -> Tensor:
    """Weights [B, P] by which yes and no of every kind of question count the same; 0 on padding."""
    weight = torch.zeros_like(yes)
    for kind in range(1, len(ASKED) + 1):
        parts = [(kinds == kind) & (yes == said) for said in (0, 1)]
        total = sum(int(part.sum()) for part in parts)
        for part in parts:
            weight[part] = min(3.0, total / (2 * max(1, int(part.sum()))))
    return weight


# After training


@torch.no_grad()
def calibrate(model: HeldOutB, tokenizer: Tokenizer, count: int = 1020) -> dict[str, str]:
    """Fit the temperature on half of the held-out questions (Guo et al. 2017); measure on the other half."""
    model.temperature.fill_(1.0)
    rng, noise, found = random.Random("calibration of B"), torch.Generator().manual_seed(7), []
    for _ in range(count // 30):
        data = batch(rng, 30)
        logits = model(apply(tokenizer, draw(data.scenes), data.damages, noise), data.asked)
        real = data.asked[..., 0] > 0
        found.append(torch.stack([logits[real], data.yes[real], data.asked[..., 0][real]]))
    logits, yes, kinds = torch.cat(found, 1)
    half = len(yes) // 2
    tried = torch.logspace(-1, 1, 201)
    losses = torch.stack([F.binary_cross_entropy_with_logits(logits[:half] / t, yes[:half]) for t in tried])
    model.temperature.fill_(float(tried[losses.argmin()]))
    said, yes, kinds = (logits / model.temperature).sigmoid()[half:], yes[half:], kinds[half:]
    hits = ((said > 0.5) == (yes > 0.5)).float()
    told = {"temperature": f"{float(model.temperature):.3f}", "ECE": f"{calibration_error(said, yes):.4f}"}
    by_kind = {kind: hits[kinds == number] for number, kind in enumerate(ASKED, 1)}
    return told | {f"right answers, {kind}": f"{float(part.mean()):.3f}" for kind, part in by_kind.items()}


def calibration_error(said: Tensor, yes: Tensor, bins: int = 15) -> float:
    """ECE over equally wide bins."""
    index = (said * bins).long().clamp(max=bins - 1)
    gaps = torch.zeros(bins).index_add(0, index, said - yes)
    return float(gaps.abs().sum() / len(yes))


def scorer(model: HeldOutB) -> Score:
    """Images and a prompt for each to the mean log-probability of yes."""

    def score(images: Tensor, prompts: list[str]) -> Tensor:
        rows = [encode(questions(prompt)) for prompt in prompts]
        asked = torch.stack([F.pad(row, (0, 0, 0, MAX_ASKED - len(row))) for row in rows])
        real = asked[..., 0] > 0
        return (F.logsigmoid(model(images, asked)) * real).sum(1) / real.sum(1).clamp(min=1)

    return score


def export(model: HeldOutB, opt: Options, progress: Progress, metrics: dict[str, str]) -> None:
    """The weights and their card."""
    opt.out.mkdir(parents=True, exist_ok=True)
    sha = save_weights(model, opt.out / f"{opt.name}.safetensors", {})
    facts = {
        "name": opt.name, "about": ABOUT, "config": {}, "sha256": sha,
        "parameters": sum(p.numel() for p in model.parameters()),
        "data": "emoji scenes composed on the fly (core/world), Microsoft Fluent Emoji artwork (MIT)",
        "seed": opt.seed, "steps": progress.step, "images_seen": progress.images, "batch": opt.batch, "lr": opt.lr,
        "minutes": round(progress.seconds / 60, 1), "hardware": hardware(opt),
        "command": f"python -m core.evaluation.held_out_b.train --minutes {opt.minutes:g} --seed {opt.seed}",
        "started_from": f"weights {sha256(opt.initial)[:12]}" if opt.initial else "random weights",
        "training": {key: round(value, 4) for key, value in progress.averages.items()},
        "metrics": metrics,
    }  # fmt: skip
    (opt.out / f"{opt.name}.json").write_text(json.dumps(facts, indent=1) + "\n")
    (opt.out / f"{opt.name}.md").write_text(card(facts))


def main() -> None:
    opt = options("held_out_b", __doc__, minutes=45, batch=30, lr=1.5e-3, pairs=256)
    opt = replace(opt, out=FOLDER if opt.out == Path("assets/weights") else opt.out)
    tokenizer = load_tokenizer().to(opt.device)
    torch.manual_seed(77 + opt.seed)
    model = HeldOutB().to(memory_format=torch.channels_last)
    model, progress = train(model, batch, make_loss(tokenizer), opt, ema=0.998)
    model, tokenizer = model.eval().cpu(), tokenizer.cpu()
    metrics = calibrate(model, tokenizer) | check_matching(scorer(model), tokenizer, opt.extra["pairs"])
    export(model, opt, progress, metrics)
    Image.fromarray(sheet(scorer(model), tokenizer)).save(opt.out / f"{opt.name}.png")


ABOUT = (
    "Scores what searches found and guides none: answers the prompt's questions about an image, one an atom, and takes "
    "the mean log-probability of yes. Another architecture, data seed and damage than the verifiers that can be chosen."
)

if __name__ == "__main__":
    main()
