"""Train the judge: python -m core.training.judge --minutes 60

Images of groups of almost equal scenes, each with questions of its own prompt, of its neighbours' prompts and with
one word of a question exchanged; as many yes as no of every sort, so that no question tells its answer. Beside them
every image token names what it shows. Labels come from construction only. Needs the tokenizer's weights and the
artwork.
"""

import math
import random
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from core.generators.emoji_ar import load_tokenizer
from core.models.judge import FAMILIES, SLOTS, Judge, JudgeConfig, encode
from core.models.tokenizer import Tokenizer
from core.models.weights import to_images
from core.training.cells import MARKS, NOUNS, SPANS, TINTS
from core.training.damage import Damage, apply
from core.training.groups import make_groups
from core.training.loop import Options, export, options, train
from core.training.verifier_checks import Score, check_matching, decodes, draw
from core.verifiers.judge import log_yes
from core.world.captions import describe, full_prompt
from core.world.compose import atlas_on, compose
from core.world.corruptions import Wish, change, left_out, read
from core.world.holdouts import held_out
from core.world.questions import ASKED as SORTS
from core.world.questions import MAX_ASKED, Question, answer, questions
from core.world.scene import CANVAS, RELATION_MARGIN, Scene, sample_look, sample_scene
from core.world.vocabulary import BACKGROUNDS, COLOURS, KINDS, NUMBERS, OPPOSITE, PATTERNS, RELATIONS, SIZE_NAMES

MEMBERS, ASKED = 4, 16  # images of a group, questions of an image
MOTLEY = 0.12  # share of scenes in which one of several equal things gets a look of its own, as generators err
CELLS = JudgeConfig().side  # image tokens a side
SHARE = 64.0  # weight of all tokens of one thing beside one token of background; with 16 it learns half as fast
PAPERS = {name: index + 1 for index, name in enumerate(BACKGROUNDS)}


Posed = tuple[Wish, tuple[Question, ...]]  # a prompt, read
Told = tuple[Question, bool]  # a question with its answer


@dataclass(frozen=True)
class Lesson:
    """B images with Q questions each."""

    scenes: list[Scene]
    damages: list[Damage]
    asked: Tensor  # [B, Q, S]
    yes: Tensor  # [B, Q]
    weight: Tensor  # [B, Q] 0 for padding; yes and no of every sort of question weigh the same
    shown: Tensor  # [B, N, 7], see `tokens_of`

    def to(self, device: torch.device) -> "Lesson":
        return replace(self, **{key: getattr(self, key).to(device) for key in ("asked", "yes", "weight", "shown")})


# Data


def batch(rng: random.Random, size: int) -> Lesson:
    scenes, damages, chosen = _chosen(rng, size)
    asked, (yes, weighed) = torch.zeros(size, ASKED, SLOTS, dtype=torch.long), torch.zeros(2, size, ASKED)
    for row, found in enumerate(chosen):
        asked[row, : len(found)] = encode([question for question, _ in found])
        yes[row, : len(found)] = torch.tensor([float(said) for _, said in found])
        weighed[row, : len(found)] = torch.tensor([weights().get((sort(one), said), 1.0) for one, said in found])
    return Lesson(scenes, damages, asked, yes, weighed, torch.stack([tokens_of(scene) for scene in scenes]))


def _chosen(rng: random.Random, size: int) -> tuple[list[Scene], list[Damage], list[list[Told]]]:
    """Scenes, what happens to their images, and what is asked about each."""
    groups = make_groups(rng, size // MEMBERS, MEMBERS)
    scenes = [motley(rng, scene) if rng.random() < MOTLEY else scene for scene in groups.scenes]
    posed = [pose(describe(scene, rng)) for scene in groups.scenes]
    return scenes, groups.damages, [choose(rng, scene, *_near(posed, row)) for row, scene in enumerate(scenes)]


@lru_cache(maxsize=1)
def weights() -> dict[tuple[tuple, bool], float]:
    """`balance` of many lessons: a single batch holds too few questions of a sort."""
    return balance(_chosen(random.Random("balance"), 1200)[2])


def pose(prompt: str) -> Posed:
    return read(prompt), questions(prompt)


def _near(posed: list[Posed], index: int) -> tuple[Posed, list[Posed]]:
    """The prompt of an image and those of its group and of one image of the next."""
    start = index // MEMBERS * MEMBERS
    return posed[index], [*posed[start : start + MEMBERS], posed[(index + MEMBERS) % len(posed)]]


def motley(rng: random.Random, scene: Scene) -> Scene:
    """One of several equal things in another look that is not held out, where there are such things."""
    able = [i for i, thing in enumerate(scene.things) if thing.colour and _several(scene, thing.noun)]
    if not able:
        return scene
    index = rng.choice(able)
    thing = scene.things[index]
    colour, pattern = sample_look(rng, thing.noun, scene.background)
    if rng.random() < 0.5:
        colour, pattern = rng.choice(((thing.colour, pattern), (colour, thing.pattern)))
    groups = tuple(replace(g, colour=colour) if g.noun == thing.noun else g for g in scene.groups)
    if held_out(replace(scene, groups=groups)) is not None:
        return scene
    changed = replace(thing, colour=colour, pattern=pattern)
    return replace(scene, things=(*scene.things[:index], changed, *scene.things[index + 1 :]))


def _several(scene: Scene, noun: str) -> bool:
    return sum(thing.noun == noun for thing in scene.things) > 1


def choose(rng: random.Random, scene: Scene, own: Posed, others: list[Posed]) -> list[Told]:
    """Up to ASKED questions with their answers, half of them yes, of as many kinds as there are."""
    found = dict.fromkeys([*own[1], *(twist(rng, question, scene) for question in own[1] for _ in range(2))])
    for wish, asked in others:
        if not left_out(wish, scene):
            found |= dict.fromkeys(asked)
    told = [(question, answer(question, scene)) for question in found if _clear(question, scene)]
    rng.shuffle(told)
    parts = [_spread([one for one in told if one[1] is said])[: ASKED // 2] for said in (True, False)]
    return parts[0] + parts[1]


def _clear(question: Question, scene: Scene) -> bool:
    """No relation that is neither true nor false by a margin."""
    if question.kind != "relation":
        return True
    return answer(question, scene, RELATION_MARGIN) == answer(question, scene, 1 / RELATION_MARGIN)


def _spread(told: list[Told]) -> list[Told]:
    """The first question of every kind, then the second of every kind, and so on."""
    seen: dict[str, int] = {}
    order = []
    for number, (question, _) in enumerate(told):
        seen[question.kind] = seen.get(question.kind, 0) + 1
        order.append((seen[question.kind], number))
    return [told[number] for _, number in sorted(order)]


def twist(rng: random.Random, question: Question, scene: Scene) -> Question:
    """The question with one word exchanged; often for one that fits something else in the scene."""
    kind, said = question.kind, question.words
    if kind == "object":
        return Question(kind, (_other(rng, [kind.noun for kind in KINDS], said[0]),))
    if kind == "count":
        number = NUMBERS.index(said[1]) if said[1] in NUMBERS else 1
        near = [n for n in (number - 1, number + 1) if 0 <= n < len(NUMBERS)]
        return Question(kind, (said[0], NUMBERS[rng.choice(near)]))
    if kind in ("colour", "pattern", "size"):
        names = {"colour": list(COLOURS), "pattern": list(PATTERNS), "size": list(SIZE_NAMES)}[kind]
        near = [look for group in scene.groups if (look := getattr(group, kind)) not in (None, said[1])]
        look = rng.choice(near) if near and rng.random() < 0.5 else _other(rng, names, said[1])
        return Question(kind, (said[0], look))
    if kind == "relation":
        turned = rng.random() < 0.5 and said[1] != OPPOSITE[said[1]]
        other = OPPOSITE[said[1]] if turned else _other(rng, list(RELATIONS), said[1])
        return Question(kind, (said[0], other, said[2]))
    if kind == "background":
        return Question(kind, (_other(rng, list(BACKGROUNDS), said[0]),))
    kept = rng.sample(said, len(said) - 1) if len(said) > 1 else [_other(rng, [k.noun for k in KINDS], said[0])]
    return Question(kind, tuple(kept))


def _other(rng: random.Random, names: list[str], than: str) -> str:
    return rng.choice([name for name in names if name != than])


def sort(question: Question) -> tuple:
    """What a question asks, whatever the noun: its answers are to be as often yes as no."""
    kind, said = question.kind, question.words
    return (kind, len(said)) if kind == "else" else (kind, *said[1:2]) if kind != "background" else (kind, *said)


def balance(chosen: list[list[Told]]) -> dict[tuple[tuple, bool], float]:
    """Weights of yes and no for every sort of question, from their numbers among the chosen ones."""
    counts: dict[tuple[tuple, bool], int] = {}
    for question, said in (one for found in chosen for one in found):
        key = sort(question), said
        counts[key] = counts.get(key, 0) + 1
    both = {key: count + counts.get((key[0], not key[1]), 0) for key, count in counts.items()}
    return {key: min(3.0, both[key] / (2 * count)) for key, count in counts.items()}


def tokens_of(scene: Scene) -> Tensor:
    """[N, 7]: noun, colour, pattern, size, background (0 is none), whether a thing has its centre here, the weight.

    As core.training.cells, but the tokens of a thing share one weight, so that small things count as much as big ones.
    """
    grid, side = np.zeros((CELLS, CELLS, 7), np.float32), CANVAS / CELLS
    grid[...] = (0, 0, 0, 0, PAPERS[scene.background], 0, 1)
    for thing in scene.things:
        half = 0.42 * thing.size / side  # a sprite does not fill its square
        x, y = thing.x / side - 0.5, thing.y / side - 0.5  # in cells, cell centres being whole numbers
        rows = slice(max(0, math.ceil(y - half)), math.floor(y + half) + 1)
        columns = slice(max(0, math.ceil(x - half)), math.floor(x + half) + 1)
        part = grid[rows, columns]
        look = TINTS.get(thing.colour, 0), MARKS.get(thing.pattern, 0), SPANS.get(thing.size_name, 0)
        part[...] = (NOUNS[thing.noun], *look, 0, 0, SHARE / (part.shape[0] * part.shape[1]))
        grid[int(thing.y // side), int(thing.x // side), 5] = 1
    return torch.from_numpy(grid.reshape(-1, 7))


# Loss


def naming_loss(names: Tensor, shown: Tensor) -> Tensor:
    """Cross-entropies of what tokens name, logits [B, N, sum(FAMILIES) + 1] against [B, N, 7], summed over families."""
    *families, centre = names.flatten(0, 1).split((*FAMILIES, 1), -1)
    shown = shown.flatten(0, 1)
    answers, centres, weight = shown[:, :-2].long(), shown[:, -2], shown[:, -1]
    # Not weighted: the sum of these probabilities is to be the number of things.
    found = F.binary_cross_entropy_with_logits(centre[:, 0], centres, reduction="sum") / centres.sum().clamp(min=1)
    entropies = [F.cross_entropy(part, answers[:, i], reduction="none") for i, part in enumerate(families)]
    return 0.3 * found + sum((entropy * weight).sum() / weight.sum() for entropy in entropies)


def make_loss(tokenizer: Tokenizer):
    def loss(model: Judge, data: Lesson, noise: torch.Generator) -> tuple[Tensor, dict]:
        data = data.to(noise.device)
        images = apply(tokenizer, compose(data.scenes, atlas_on(noise.device.type)), data.damages, noise)
        logits, names = model(images, data.asked)
        entropy = F.binary_cross_entropy_with_logits(logits, data.yes, reduction="none")
        total = data.weight.sum()
        told, named = (entropy * data.weight).sum() / total, naming_loss(names, data.shown)
        right = ((logits > 0) == (data.yes > 0)) * data.weight
        logs = {"answers": told.detach(), "right": right.sum() / total, "names": named.detach()}
        return told + named, logs

    return loss


# After training


def ask(prompts: list[str]) -> tuple[Tensor, Tensor]:
    """Questions [B, P, S] of prompts, padded, and which are real, [B, P]."""
    rows = [encode(questions(prompt)) for prompt in prompts]
    asked = torch.stack([F.pad(row, (0, 0, 0, MAX_ASKED - len(row))) for row in rows])
    return asked, asked[..., 0] > 0


def scorer(judge: Judge) -> Score:
    """Mean log-probability of yes, as core.verifiers.judge scores."""

    def score(images: Tensor, prompts: list[str]) -> Tensor:
        asked, real = ask(prompts)
        said = log_yes(judge(images, asked)[0]) * real
        return said.sum(-1) / real.sum(-1).clamp(min=1)

    return score


@torch.no_grad()
def answered(judge: Judge, tokenizer: Tokenizer, count: int) -> Tensor:
    """[4, questions] about `count` held-out images, damaged as in training: logit, answer, weight, kind."""
    rng, noise, found = random.Random("judge calibration"), torch.Generator().manual_seed(1), []
    for _ in range(count // 32):
        data = batch(rng, 32)
        images = apply(tokenizer, draw(data.scenes), data.damages, noise)
        real = data.asked[..., 0] > 0
        logits, _ = judge(images, data.asked)
        found.append(torch.stack([logits, data.yes, data.weight, data.asked[..., 0]])[:, real])
    return torch.cat(found, 1)


def fit_temperature(logits: Tensor, yes: Tensor, weight: Tensor) -> float:
    """The temperature of least cross-entropy, from a fine grid (Guo et al. 2017)."""
    grid = torch.logspace(-1, 1, 201)
    losses = [F.binary_cross_entropy_with_logits(logits / t, yes, weight) for t in grid]
    return float(grid[torch.stack(losses).argmin()])


def calibration_error(said: Tensor, yes: Tensor, weight: Tensor, bins: int = 15) -> float:
    """ECE: the mean distance of said and true shares of yes over equally wide bins, weighed by their sizes."""
    index = (said * bins).long().clamp(max=bins - 1)
    gaps = torch.zeros(bins).index_add(0, index, weight * (said - yes))
    return float(gaps.abs().sum() / weight.sum())


def calibrate(judge: Judge, tokenizer: Tokenizer, count: int = 1024) -> dict[str, str]:
    """Fit the temperature on half of the held-out questions; measure on the other half."""
    judge.temperature.fill_(1.0)
    fitted, measured = answered(judge, tokenizer, count).chunk(2, 1)
    judge.temperature.fill_(fit_temperature(*fitted[:3]))
    logits, yes, weight, kinds = measured
    said = (logits / judge.temperature).sigmoid()
    hits = ((said > 0.5) == (yes > 0.5)) * weight
    found = {"temperature": f"{float(judge.temperature):.3f}", "ECE": f"{calibration_error(said, yes, weight):.4f}"}
    for number, kind in enumerate(SORTS, 1):
        part = kinds == number
        found[f"right answers, {kind}, damaged as in training"] = f"{hits[part].sum() / weight[part].sum():.3f}"
    return found


@torch.no_grad()
def sheet(judge: Judge, tokenizer: Tokenizer, rows: int = 6) -> np.ndarray:
    """Rows of a faithful image, one almost so, and an early preview, each with all answers beside it."""
    rng, strips = random.Random("judge sheet"), []
    while len(strips) < rows:
        scene = sample_scene(rng)
        other = change(rng.choice(("swap attribute", "swap relation", "count +-1", "replace object")), rng, scene)
        if other is not None and len(questions(full_prompt(scene))) > 6:
            images = draw([scene, other])
            images = torch.cat([images, *decodes(tokenizer, images[:1], (3,))])
            strips.append(_strip(judge, full_prompt(scene), images))
    return np.concatenate(strips)


def _strip(judge: Judge, prompt: str, images: Tensor) -> np.ndarray:
    asked, _ = ask([prompt] * len(images))
    said = judge(images, asked)[0].sigmoid().tolist()
    height = 30 + max(images.shape[-1], 12 * len(questions(prompt)))
    page = Image.new("RGB", (len(images) * 360, height), "white")
    pen = ImageDraw.Draw(page)
    pen.text((4, 4), prompt, fill="black")
    for number, (image, row) in enumerate(zip(to_images(images), said, strict=True)):
        page.paste(Image.fromarray(image), (number * 360 + 4, 22))
        for line, (question, yes) in enumerate(zip(questions(prompt), row, strict=False)):
            colour = "darkgreen" if yes > 0.5 else "firebrick"
            pen.text((number * 360 + 140, 22 + 12 * line), f"{yes:.2f} {question.text}", fill=colour)
    return np.asarray(page)


def main() -> None:
    opt: Options = options("judge", __doc__, minutes=60, batch=32, lr=1.5e-3, pairs=256)
    config, tokenizer = JudgeConfig(), load_tokenizer().to(opt.device)
    torch.manual_seed(opt.seed)
    model = Judge(config).to(memory_format=torch.channels_last)
    judge, progress = train(model, batch, make_loss(tokenizer), opt, ema=0.998)
    judge, tokenizer = judge.eval().cpu(), tokenizer.cpu()
    metrics = calibrate(judge, tokenizer) | check_matching(scorer(judge), tokenizer, opt.extra["pairs"])
    export(judge, opt, progress, vars(config), metrics, ABOUT)
    Image.fromarray(sheet(judge, tokenizer)).save(opt.out / f"{opt.name}.png")


ABOUT = (
    "Answers a prompt's questions about an image one by one: is it there, how many, in which look, where, on what "
    "background, and is there nothing else. The score is the mean log-probability of yes, none below log 0.05. Trained "
    "on scenes and their corruptions, as many yes as no, also as previews of every scale; labels come from "
    "construction only."
)

if __name__ == "__main__":
    main()
