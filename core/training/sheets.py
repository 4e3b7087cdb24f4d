"""Sample sheets of generators: a column per prompt, four samples each, no search and no selection."""

import random
from pathlib import Path

import numpy as np
from PIL import Image

from core.generators.base import Generator

PROMPTS = (
    "a red car",
    "a green apple and a blue star",
    "three cats",
    "a dog to the left of a pizza",
    "a purple balloon above a yellow book",
    "four yellow stars",
    "a robot next to a rocket",
    "a black heart to the right of a pink shirt",
    "three striped hats below a tree",
    "a small penguin and a big dotted gift",
)


def single_samples(generator: Generator, prompt: str, count: int, seed: int = 0) -> np.ndarray:
    """`count` samples without search, uint8 [count, 128, 128, 3]."""
    states = [generator.start(prompt)] * count
    streams = [random.Random(f"sheet:{seed}:{index}") for index in range(count)]
    for _ in range(generator.num_steps):
        states = generator.step(states, [stream.getrandbits(63) for stream in streams])
    return generator.preview(states)


def save_sheet(generator: Generator, path: Path) -> None:
    """Write the sheet of PROMPTS as a picture."""
    columns = [np.concatenate(list(single_samples(generator, prompt, 4))) for prompt in PROMPTS]
    Image.fromarray(np.concatenate(columns, 1)).save(path)
