"""Scenes encoded once by the trained tokenizer, shared by the trainers of both generators.

Sixty thousand latents are 250 MB in memory and save the generators' trainers a third of their time. Every scene comes
with several captions, written and read beforehand.
"""

import random

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from core.generators.emoji_ar import load_tokenizer
from core.models.weights import FOLDER, sha256
from core.training.loop import ahead, process, processes
from core.world.captions import INDEX, MAX_WORDS, describe, encode
from core.world.compose import atlas_on, compose
from core.world.scene import Scene, sample_scene
from core.world.sprites import cache_folder

CHUNK = 256
CAPTIONS = 8  # of each scene


class Latents:
    """`count` scenes: latents [count, 32, 8, 8] (fp16) and words [count, 8, T] (bytes), cached or made now."""

    def __init__(self, count: int, seed: int = 0, device: str = "cpu", workers: int = 0):
        tag = sha256(FOLDER / "tokenizer.safetensors")[:12]
        stem = cache_folder() / "training" / f"latents-{tag}-{seed}-{count}"
        files = [stem.with_suffix(f".{number}of{processes()}.npz") for number in range(processes())]
        if not files[process()].exists():
            self._make(files[process()], count, seed, device, workers)
        if processes() > 1:
            dist.barrier()
        parts = [np.load(file) for file in files]
        self.latents = np.concatenate([part["latents"] for part in parts])
        self.words = np.concatenate([part["words"] for part in parts])

    @staticmethod
    @torch.no_grad()
    def _make(file, count: int, seed: int, device: str, workers: int) -> None:
        """This process's share of the chunks."""
        file.parent.mkdir(parents=True, exist_ok=True)
        tokenizer, atlas, latents, words = load_tokenizer().to(device), atlas_on(device), [], []
        starts = range(0, count, CHUNK)[process() :: processes()]
        jobs = ((seed, start, min(CHUNK, count - start)) for start in starts)
        for scenes, read in ahead(captioned_scenes, jobs, workers):
            latents.append(tokenizer.encode(compose(scenes, atlas)).half().cpu().numpy())
            words.append(read)
        unfinished = file.with_suffix(".tmp.npz")
        np.savez(unfinished, latents=np.concatenate(latents), words=np.concatenate(words))
        unfinished.replace(file)

    def batch(self, rng: random.Random, size: int, drop: float = 0.1) -> tuple[Tensor, Tensor]:
        """Random latents [B, 32, 8, 8] and the words of a caption each [B, T], a share `drop` empty (for guidance)."""
        draw = np.random.default_rng(rng.getrandbits(63))
        chosen, which = draw.integers(len(self.latents), size=size), draw.integers(CAPTIONS, size=size)
        words = self.words[chosen, which]
        words[draw.random(size) < drop] = _padded("")
        longest = -(-int((words > 0).sum(1).max()) // 24) * 24  # few shapes, since a compiled model likes them
        return torch.from_numpy(self.latents[chosen]).float(), torch.from_numpy(words[:, :longest].astype(np.int64))


def captioned_scenes(seed: int, start: int, count: int) -> tuple[list[Scene], np.ndarray]:
    """Fresh scenes and the words of CAPTIONS captions for each, bytes [count, CAPTIONS, T]."""
    rng = random.Random(f"latents:{seed}:{start}")
    scenes = [sample_scene(rng) for _ in range(count)]
    return scenes, np.stack([np.stack([_padded(describe(s, rng)) for _ in range(CAPTIONS)]) for s in scenes])


def _padded(prompt: str) -> np.ndarray:
    row = np.full(MAX_WORDS + 1, INDEX["<pad>"], np.uint8)
    found = encode(prompt)
    row[: len(found)] = found
    return row
