"""Train the image reward: python -m core.training.image_reward --minutes 30

Bradley-Terry on groups of a scene and its corruptions, ordered by the number of wrong atoms, images of one group
being damaged alike; a smaller term asks whether everything is right. While training, the image tokens also say what
they show (noun, colour, centre), which the weights file leaves out. Needs the tokenizer's weights and the artwork.
"""

import random

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from core.generators.emoji_ar import load_tokenizer
from core.models.reward import Reward, RewardConfig
from core.models.text import tokenise
from core.models.tokenizer import Tokenizer
from core.training.cells import cell_loss
from core.training.damage import apply
from core.training.groups import Groups, make_groups
from core.training.loop import Options, export, options, train
from core.training.verifier_checks import Score, calibration, check_matching, scores, sheet
from core.world.captions import INDEX
from core.world.compose import atlas_on, compose
from core.world.vocabulary import COLOURS, KINDS, PATTERNS, SIZE_NAMES

MEMBERS = 4
ANSWERS = ([kind.noun for kind in KINDS], COLOURS, PATTERNS, SIZE_NAMES)  # what an image token may name


class Student(nn.Module):
    """The reward and the heads of its auxiliary task: image tokens name what they show by the embeddings of words."""

    def __init__(self, config: RewardConfig):
        super().__init__()
        width = config.widths[-1]
        self.reward = Reward(config)
        self.asked = nn.ModuleList(nn.Linear(width, width) for _ in ANSWERS)
        self.rest = nn.Linear(width, len(ANSWERS) + 1)  # no noun, no colour, no pattern, no size; a centre

    def name(self, tokens: Tensor) -> Tensor:
        """Image tokens [B, 64, D] -> the logits that `cell_loss` takes."""
        rest, words = self.rest(tokens), self.reward.words.weight / tokens.shape[-1] ** 0.5
        parts = []
        for number, (asked, answers) in enumerate(zip(self.asked, ANSWERS, strict=True)):
            parts += [rest[..., number : number + 1], asked(tokens) @ words[[INDEX[word] for word in answers]].T]
        return torch.cat([*parts, rest[..., -1:]], -1)


def batch(rng: random.Random, size: int) -> Groups:
    return make_groups(rng, size // MEMBERS, MEMBERS)


def all_scores(reward: Reward, tokens: Tensor, words: Tensor, groups: int) -> Tensor:
    """Raw scores [G, M, M + 1] of every prompt on every image of its group and on one of the next group."""
    members = len(tokens) // groups
    number = torch.arange(groups * members, device=tokens.device).view(groups, members)
    images = number[:, None].expand(-1, members, -1)  # [G, M, M]
    images = torch.cat([images, number.roll(-1, 0)[..., None]], -1).flatten()
    prompts = number[..., None].expand(-1, -1, members + 1).flatten()
    text, mask = reward.read(words)
    seen = reward.look(tokens)[:, :, images]
    penalties = reward.penalties(text[prompts], mask[prompts], seen)
    return (reward.level - penalties.sum(-1)).view(groups, members, members + 1)


def rank_loss(scores: Tensor, wrong: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
    """Bradley-Terry over the last axis: fewer wrong atoms win at equal damage, less damage at equal atoms.

    scores, wrong, level [..., M]; NaN in `wrong` compares with nothing. Returns the loss and the share of pairs in the
    right order.
    """
    fewer = (wrong[..., :, None] < wrong[..., None, :]) & (level[..., :, None] == level[..., None, :])
    finer = (wrong[..., :, None] == wrong[..., None, :]) & (level[..., :, None] < level[..., None, :])
    better = (fewer | finer).float()
    margin = scores[..., :, None] - scores[..., None, :]
    total = better.sum().clamp(min=1)
    return (better * F.softplus(-margin)).sum() / total, (better * (margin > 0)).sum() / total


def make_loss(tokenizer: Tokenizer):
    def loss(model: Student, data: Groups, noise: torch.Generator) -> tuple[Tensor, dict]:
        data = data.to(noise.device)
        images = apply(tokenizer, compose(data.scenes, atlas_on(noise.device.type)), data.damages, noise)
        tokens = model.reward.trunk(images)
        scores = all_scores(model.reward, tokens, data.words, len(data.wrong))
        own, wrong, level = scores[..., :-1], data.wrong[..., :-1], data.level
        by_image, accuracy = rank_loss(own, wrong, level[:, None].expand_as(wrong))
        by_prompt, _ = rank_loss(own.mT, wrong.mT, torch.zeros_like(wrong))
        faithful = (data.wrong == 0).float()
        right = F.binary_cross_entropy_with_logits(scores, faithful, weight=data.wrong.isfinite().float())
        said = cell_loss(model.name(tokens), data.cells)
        logs = {"ranking": by_image.detach(), "accuracy": accuracy, "right": right.detach(), "cells": said.detach()}
        return by_image + 0.5 * by_prompt + 0.5 * right + 0.7 * said, logs

    return loss


def trunk(model: Student) -> list[nn.Module]:
    return [model.reward.trunk]


def scorer(reward: Reward) -> Score:
    return lambda images, prompts: reward(images, tokenise(prompts))


@torch.no_grad()
def standardise(reward: Reward) -> dict[str, str]:
    """Set the constants that bring faithful clean renders to a mean of 1 and random mismatches to -1."""
    images, own, others = calibration(512)
    reward.faithful.fill_(1), reward.mismatch.fill_(-1)  # the score is now the raw one
    right, wrong = (scores(scorer(reward), images, prompts) for prompts in (own, others))
    reward.faithful.copy_(right.mean()), reward.mismatch.copy_(wrong.mean())
    right, wrong = reward.standardise(right), reward.standardise(wrong)
    return {"standard deviation, faithful": f"{right.std():.2f}", "standard deviation, mismatch": f"{wrong.std():.2f}"}


def main() -> None:
    opt: Options = options("image_reward", __doc__, minutes=30, batch=32, lr=1.2e-3)
    config, tokenizer = RewardConfig(), load_tokenizer().to(opt.device)
    torch.manual_seed(opt.seed)
    model, loss = Student(config).to(memory_format=torch.channels_last), make_loss(tokenizer)
    model, progress = train(model, batch, loss, opt, ema=0.998, parts=trunk, kept=lambda student: student.reward)
    reward, tokenizer = model.reward.eval().cpu(), tokenizer.cpu()
    metrics = standardise(reward) | check_matching(scorer(reward), tokenizer)
    export(reward, opt, progress, {"widths": config.widths}, metrics, ABOUT)
    Image.fromarray(sheet(scorer(reward), tokenizer)).save(opt.out / f"{opt.name}.png")


ABOUT = (
    "Scores how well an image shows a prompt: objects, colours, counts, places. Faithful clean renders have a mean of "
    "about 1, random mismatches of about -1; scores compare images of one prompt. Trained by Bradley-Terry on scenes "
    "and their corruptions, also as previews of every scale; labels come from construction only."
)

if __name__ == "__main__":
    main()
