"""Scenes encoded once by the trained tokenizer, shared by the trainers of both generators.

Sixty thousand latents are 250 MB in memory and save the generators' trainers a third of their time. Captions are
written anew at every use.
"""

import json
import random
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor

from core.generators.emoji_ar import load_tokenizer
from core.models.weights import FOLDER, from_images, sha256
from core.world.captions import describe
from core.world.render import render_batch
from core.world.scene import Group, Scene
from core.world.sprites import cache_folder

CHUNK = 256


class Latents:
    """`count` scenes and their latents [count, 32, 8, 8] (fp16), from the cache or made now."""

    def __init__(self, count: int, seed: int = 0):
        tag = sha256(FOLDER / "tokenizer.safetensors")[:12]
        stem = cache_folder() / "training" / f"latents-{tag}-{seed}-{count}"
        if not stem.with_suffix(".npy").exists():
            self._make(stem, count, seed)
        self.latents = np.load(stem.with_suffix(".npy"))
        with open(stem.with_suffix(".jsonl")) as lines:
            self.scenes = [_scene(json.loads(line)) for line in lines]

    @staticmethod
    @torch.no_grad()
    def _make(stem, count: int, seed: int) -> None:
        stem.parent.mkdir(parents=True, exist_ok=True)
        tokenizer, parts = load_tokenizer(), []
        with open(stem.with_suffix(".jsonl"), "w") as lines:
            for start in range(0, count, CHUNK):
                scenes, images = render_batch(random.Random(f"latents:{seed}:{start}"), min(CHUNK, count - start))
                parts.append(tokenizer.encode(from_images(images)).half().numpy())
                lines.writelines(json.dumps(asdict(scene)) + "\n" for scene in scenes)
        np.save(stem.with_suffix(".npy"), np.concatenate(parts))

    def batch(self, rng: random.Random, size: int, drop: float = 0.1) -> tuple[Tensor, list[str]]:
        """Random latents [B, 32, 8, 8] with fresh captions, a share `drop` of them empty (for guidance)."""
        chosen = [rng.randrange(len(self.scenes)) for _ in range(size)]
        captions = ["" if rng.random() < drop else describe(self.scenes[i], rng) for i in chosen]
        return torch.from_numpy(self.latents[chosen]).float(), captions


def _scene(row: dict) -> Scene:
    return Scene(tuple(Group(**group) for group in row["groups"]), row["relation"], row["background"])
