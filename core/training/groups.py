"""Training data of the verifiers: a scene, scenes that are almost it, a prompt for each, and who is wrong where.

Every prompt of a group meets every image of the group, so neither prompts nor images alone tell the answer.
"""

import math
import random
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from core.models.text import tokenise
from core.training.cells import cells
from core.training.damage import Damage, sample_damage, worse
from core.world.captions import describe
from core.world.corruptions import Wish, change, corrupt, left_out, read, wrong_atoms
from core.world.scene import Scene, sample_scene


@dataclass(frozen=True)
class Groups:
    """G groups of M scenes and as many prompts, flattened group by group where a size says G*M."""

    scenes: list[Scene]  # G*M
    words: Tensor  # [G*M, T]
    # [G, M, M + 1] wrong atoms of prompt p on image i; the last is an image of the next group. NaN: not to be compared,
    # the image fails the prompt in the way that is left out of training.
    wrong: Tensor
    level: Tensor  # [G, M] 1 where an image is damaged more than the rest of its group
    damages: list[Damage]  # G*M
    cells: Tensor  # [G*M, 64, 5], see core.training.cells

    def to(self, device: torch.device) -> "Groups":
        moved = {key: getattr(self, key).to(device) for key in ("words", "wrong", "level", "cells")}
        return replace(self, **moved)


def make_groups(rng: random.Random, count: int, members: int = 4) -> Groups:
    """`count` groups; in a sixth of them the last image is the first scene again, rendered worse."""
    scenes, damages, level = [], [], torch.zeros(count, members, dtype=torch.long)
    for number in range(count):
        group, damage = _members(rng, members), sample_damage(rng)
        spoilt = [damage] * members
        if rng.random() < 0.16:
            group[-1], spoilt[-1], level[number, -1] = group[0], worse(rng, damage), 1
        scenes.append(group)
        damages += spoilt
    prompts = [[describe(scene, rng) for scene in group] for group in scenes]
    flat = [scene for group in scenes for scene in group]
    return Groups(
        flat, tokenise([prompt for group in prompts for prompt in group]),
        _wrong(prompts, scenes), level, damages, torch.stack([cells(scene) for scene in flat]),
    )  # fmt: skip


def _members(rng: random.Random, count: int) -> list[Scene]:
    """A scene and its corruptions. Two groups in three hold a swap, which is rare among scenes but hard to learn."""
    focus = rng.choice(("swap attribute", "swap relation", None))
    while True:
        scene = sample_scene(rng)
        first = change(focus, rng, scene) if focus else corrupt(rng, scene)
        if first is not None:
            times = (rng.choices((1, 2, 3), (65, 25, 10))[0] for _ in range(count - 2))
            return [scene, first, *(corrupt(rng, scene, number) for number in times)]


def _wrong(prompts: list[list[str]], scenes: list[list[Scene]]) -> Tensor:
    rows = []
    for number, group in enumerate(prompts):
        others = scenes[(number + 1) % len(scenes)]
        wishes = [read(prompt) for prompt in group]
        rows.append(
            [[_atoms(wish, scene) for scene in (*scenes[number], other)]
             for wish, other in zip(wishes, others, strict=True)]
        )  # fmt: skip
    return torch.tensor(rows)


def _atoms(wish: Wish, scene: Scene) -> float:
    return math.nan if left_out(wish, scene) else float(wrong_atoms(wish, scene))
