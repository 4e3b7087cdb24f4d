"""What verifiers are asked when they are validated. See verifier_report.py.

A trial is a list of prompts, each with some images; its answers are raw scores [prompts, images]. Labels come from
construction: of every pair the first image, or the first prompt, is the right one. Scenes are drawn from seeds that no
trainer uses, and every verifier is asked the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.models.weights import to_images
from core.training import verifier_checks
from core.training.verifier_checks import TESTED, Pairs, make_pairs
from core.world.captions import full_prompt, parse
from core.world.corruptions import CORRUPTIONS, LEFT_OUT, change, corrupt
from core.world.rubric import aesthetic
from core.world.scene import CANVAS, Group, Scene, as_thing, sample_look, sample_scene, total, try_place
from core.world.vocabulary import BACKGROUNDS

KINDS = (*TESTED, "extra object", LEFT_OUT)
RELATIVES = ("replace object", "extra object", "count +-1")  # the trained types that are most like LEFT_OUT
COLUMNS = {"fresh scenes": False, "held-out scenes": True}  # the second hold what no training scene does
IMAGE_ONLY = ("image only, prompt of another scene", "image only, no prompt")
TEXT_ONLY = ("text only, blank image", "text only, image of another scene")
BLIND = (*IMAGE_ONLY, *TEXT_ONLY)
ADVERSARIES = ("blank", "saturated", "noise", "one huge sprite", "pretty scene of something else")
STAND_INS = "stand-ins for samples: clean renders, half of them right, half with one corruption"
CANDIDATES = 8  # of a prompt, where no generator's are at hand
PRETTIEST_OF = 48  # scenes among which the pretty one is chosen

Name = tuple[str, str]  # which test, and of what
Answers = dict[Name, np.ndarray]
Ask = Callable[[str, np.ndarray], Sequence[float]]  # a prompt and images, uint8 [B, 128, 128, 3] -> a score for each


@dataclass(frozen=True)
class Trial:
    name: Name
    questions: list[tuple[str, np.ndarray]]  # a prompt and K images, uint8 [K, 128, 128, 3]
    columns: int  # of the answers: K, or the number of questions that belong together

    def answers(self, ask: Ask) -> np.ndarray:
        """Raw scores [rows, columns]."""
        said = [score for prompt, images in self.questions for score in ask(prompt, images)]
        return np.asarray(said, float).reshape(-1, self.columns)


def trials(count: int) -> Iterator[Trial]:
    """All trials that need no generator: `count` pairs of every kind, a few at a time so that memory stays small."""
    for column, unseen in COLUMNS.items():
        for kind in KINDS:
            pairs = make_pairs(kind, count, f"verifier report, {column}", unseen)
            shown = np.stack([to_images(pairs.right), to_images(pairs.wrong)], 1)  # [N, 2, 128, 128, 3]
            yield Trial((column, kind), list(zip(pairs.prompts, shown, strict=True)), 2)
            if not unseen:
                yield from _blind(kind, pairs, shown)
    for part in ("fit", "test"):
        yield _calibration(part, 4 * count)
    yield _stand_ins("reference", max(8, count // 4))
    yield adversarial(_stand_ins("adversarial", max(8, count // 4)))


def _blind(kind: str, pairs: Pairs, shown: np.ndarray) -> Iterator[Trial]:
    """Half of the pairs without the prompt, or without the image: there a choice can only be a guess."""
    count = len(shown) // 2
    prompts, others, images = pairs.prompts[:count], pairs.others[:count], shown[:count]
    yield Trial((IMAGE_ONLY[0], kind), list(zip(prompts[1:] + prompts[:1], images, strict=True)), 2)
    yield Trial((IMAGE_ONLY[1], kind), [("", np.concatenate(images[i : i + 4])) for i in range(0, count, 4)], 2)
    for name, seen in zip(TEXT_ONLY, ([blank()[None]] * count, np.roll(images[:, :1], 1, 0)), strict=True):
        said = zip(prompts, others, seen, strict=True)
        yield Trial((name, kind), [(prompt, image) for right, wrong, image in said for prompt in (right, wrong)], 2)


def _calibration(part: str, count: int) -> Trial:
    """A prompt and an image each: of its scene where the number is even, else a corruption of it or another scene."""
    rng, prompts, scenes = random.Random(f"verifier report, calibration: {part}"), [], []
    while len(scenes) < count:
        scene = sample_scene(rng)
        prompts.append(full_prompt(scene))
        scenes.append(scene if len(scenes) % 2 == 0 else _wrong(rng, scene))
    return Trial(("calibration", part), list(zip(prompts, images_of(scenes)[:, None], strict=True)), 1)


def right_of(count: int) -> np.ndarray:
    """The labels of a calibration trial."""
    return (np.arange(count) % 2 == 0).astype(float)


def _wrong(rng: random.Random, scene: Scene) -> Scene:
    """One corruption of any kind that a complete prompt minds, or in one case of ten another scene."""
    while True:
        if rng.random() < 0.1:
            return sample_scene(rng)
        changed = change(rng.choice([kind for kind in CORRUPTIONS if kind in KINDS]), rng, scene)
        if changed is not None:
            return changed


def _stand_ins(name: str, count: int) -> Trial:
    """Prompts of several things, each with right pictures and corruptions of them, as many."""
    rng, questions = random.Random(f"verifier report, {name}"), []
    while len(questions) < count:
        scene = sample_scene(rng)
        if total(scene) > 1:
            right = [try_place(rng, replace(scene, things=())) or scene for _ in range(CANDIDATES // 2)]
            questions.append((full_prompt(scene), images_of([*right, *(corrupt(rng, one) for one in right)])))
    return Trial(("candidates", name), questions, CANDIDATES)


def adversarial(candidates: Trial, source: str = STAND_INS) -> Trial:
    """Adversarial images, in the order of ADVERSARIES, before the candidates of every prompt."""
    rng, noise, questions = random.Random("verifier report, adversaries"), np.random.default_rng(0), []
    for prompt, images in candidates.questions:
        questions.append((prompt, np.concatenate([_adversaries(rng, noise, prompt), images])))
    return Trial(("adversarial", source), questions, len(ADVERSARIES) + candidates.columns)


def _adversaries(rng: random.Random, noise: np.random.Generator, prompt: str) -> np.ndarray:
    saturated = np.broadcast_to(np.uint8(rng.choice(((255, 0, 0), (0, 255, 0), (255, 0, 255)))), blank().shape)
    speckled = 255 * noise.integers(0, 2, blank().shape, np.uint8)
    asked = parse(prompt).groups
    strange = (sample_scene(rng) for _ in range(PRETTIEST_OF))
    pretty = max((s for s in strange if not {g.noun for g in s.groups} & {g.noun for g in asked}), key=aesthetic)
    return np.stack([blank(), saturated, speckled, *images_of([_huge(rng, asked[0]), pretty])])


def _huge(rng: random.Random, group: Group) -> Scene:
    """One thing of a group as large as the canvas."""
    background = rng.choice([name for name in BACKGROUNDS if name != group.colour])
    colour, pattern = sample_look(rng, group.noun, background)
    group = replace(group, count=1, colour=group.colour or colour, pattern=group.pattern or pattern, size=None)
    thing = as_thing(group, CANVAS // 2, CANVAS // 2, CANVAS - 4)
    return Scene((group,), (), background, (thing,))


def blank() -> np.ndarray:
    return np.full((CANVAS, CANVAS, 3), 235, np.uint8)


def images_of(scenes: list[Scene]) -> np.ndarray:
    """Clean renders, uint8 [B, 128, 128, 3]."""
    return to_images(verifier_checks.draw(scenes))


def retrieval_scenes(number: int, size: int) -> list[Scene]:
    """The `number`th set of scenes whose complete prompts all differ."""
    rng, found = random.Random(f"verifier report, retrieval: {number}"), {}
    while len(found) < size:
        scene = sample_scene(rng)
        found.setdefault(full_prompt(scene), scene)
    return list(found.values())
