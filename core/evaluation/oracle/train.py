"""Train a reader of the oracle: python -m core.evaluation.oracle.train --reader a --minutes 60

Resumable as every trainer (core/training/loop.py). The two readers are to be trained apart: they differ in build, in
the stream of scenes and in what degrades them. With --coded 0 nothing goes through the tokenizer: until there is one
that can draw this world. Writes assets/oracle/reader_a.safetensors, .json and .md; afterwards
python -m core.evaluation.oracle.accept measures both together.
"""

import json
import random
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import torch
from torch import Tensor, nn

from core.evaluation.oracle.agree import read
from core.evaluation.oracle.check import check
from core.evaluation.oracle.degrade import CLEAN, Degradation, degrade, load_tokenizer, overlapped, sample_many
from core.evaluation.oracle.oracle import FOLDER
from core.evaluation.oracle.reader import READERS, seen
from core.evaluation.oracle.targets import loss as answer_loss
from core.evaluation.oracle.targets import targets, truth
from core.models.weights import save_weights
from core.training.loop import Options, Progress, card, hardware, options, train
from core.world.compose import atlas_on, compose
from core.world.scene import Scene, sample_look, sample_scene

OVERLAPPED, MOTLEY = 0.12, 0.25  # shares of scenes that no trainer of a generator draws
Batch = tuple[list[Scene], list[Degradation], dict[str, Tensor]]


def sample(rng: random.Random) -> Scene:
    """A scene as generators may get it wrong too: things over each other, things of one kind that differ."""
    scene = sample_scene(rng, allow_held_out=True)
    if rng.random() < MOTLEY:
        scene = motley(rng, scene)
    return overlapped(rng, scene) if rng.random() < OVERLAPPED else scene


def motley(rng: random.Random, scene: Scene) -> Scene:
    """Every thing in a look of its own."""
    looks = [sample_look(rng, thing.noun, scene.background) for thing in scene.things]
    things = (replace(thing, colour=c, pattern=p) for thing, (c, p) in zip(scene.things, looks, strict=True))
    return replace(scene, things=tuple(things))


def batch(rng: random.Random, size: int, reader: str, coded: bool = True) -> Batch:
    """Scenes, what happens to their images, and the truth about them."""
    scenes = [sample(rng) for _ in range(size)]
    return scenes, sample_many(rng, size, reader, coded), truth(scenes)


@lru_cache(maxsize=2)
def _tools(device: str) -> tuple:
    tokenizer = load_tokenizer()
    return atlas_on(device), tokenizer and tokenizer.to(device)


def images_of(scenes: list[Scene], how: list[Degradation], noise: torch.Generator) -> Tensor:
    """Drawn and degraded on the device of `noise`: [B, 3, 128, 128] in [-1, 1]."""
    atlas, tokenizer = _tools(str(noise.device))
    return degrade(compose(scenes, atlas), how, noise, tokenizer)


def loss(model: nn.Module, data: Batch, noise: torch.Generator) -> tuple[Tensor, dict]:
    scenes, how, known = data
    known = {name: part.to(noise.device) for name, part in known.items()}
    return answer_loss(model(images_of(scenes, how, noise)), targets(known, model.grid))


@torch.inference_mode()
def measure(model: nn.Module, reader: str, device: str, coded: bool, count: int = 1000) -> dict[str, float]:
    """Share of scenes that this reader alone reads exactly, clean and degraded as in training."""
    rng, noise, found = random.Random("readers' validation"), torch.Generator(device).manual_seed(1), {}
    scenes = [sample_scene(rng, allow_held_out=True) for _ in range(count)]
    for name, how in (("clean", [CLEAN] * count), ("degraded", sample_many(rng, count, reader, coded))):
        right = 0
        for start in range(0, count, 50):
            part = slice(start, start + 50)
            views = seen(model(images_of(scenes[part], how[part], noise)))
            right += sum(check(read(one, one), scene).strict for one, scene in zip(views, scenes[part], strict=True))
        found[f"exact scenes, {name}"] = right / count
    return found


def export(model: nn.Module, opt: Options, progress: Progress) -> None:
    """The weights and their card."""
    reader, coded = opt.extra["reader"], bool(opt.extra["coded"])
    opt.out.mkdir(parents=True, exist_ok=True)
    sha = save_weights(model, opt.out / f"{opt.name}.safetensors", {"reader": reader})
    facts = {
        "name": opt.name, "about": ABOUT, "config": {"reader": reader}, "sha256": sha,
        "parameters": sum(p.numel() for p in model.parameters()),
        "data": "emoji scenes, held-out ones too, degraded by core/evaluation/oracle/degrade.py",
        "round trips": coded and load_tokenizer() is not None,
        "seed": opt.seed, "steps": progress.step, "images_seen": progress.images, "batch": opt.batch, "lr": opt.lr,
        "minutes": round(progress.seconds / 60, 1),
        "hardware": hardware(opt),
        "command": f"python -m core.evaluation.oracle.train --reader {reader} --minutes {opt.minutes:g} "
        f"--lr {opt.lr:g} --coded {int(coded)} --half {opt.half}",
        "training": {key: round(value, 4) for key, value in progress.averages.items()},
        "metrics": measure(model, reader, opt.device, coded),
    }  # fmt: skip
    (opt.out / f"{opt.name}.json").write_text(json.dumps(facts, indent=1) + "\n")
    text = card(facts)
    (opt.out / f"{opt.name}.md").write_text(text[: text.index("Sample sheet")].rstrip() + "\n")


def main() -> None:
    opt = options("reader", __doc__, minutes=60, batch=48, lr=1e-3, reader="a", coded=1)
    reader = opt.extra["reader"]
    out = FOLDER if opt.out == Path("assets/weights") else opt.out
    opt = replace(opt, name=f"reader_{reader}", out=out)
    torch.manual_seed(1000 * opt.seed + ord(reader))
    data = partial(batch, reader=reader, coded=bool(opt.extra["coded"]))
    averaged, progress = train(READERS[reader]().to(memory_format=torch.channels_last), data, loss, opt)
    export(averaged.eval(), opt, progress)


ABOUT = (
    "Reads finished images of the emoji world for the oracle: what is where, in what colour and pattern, how large. "
    "For reporting only: no search, generator or verifier may use it."
)

if __name__ == "__main__":
    main()
