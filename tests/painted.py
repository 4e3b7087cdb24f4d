"""A world for the tests of the page: no weights, quick, and its pictures sharpen from scale to scale.

A state is the seeds drawn so far; scale k adds a coarse-to-fine layer of colour that its seed decides. Of the
diffusion-like one the first seed decides all layers.
"""

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from core.registry import Entry, Needs
from core.search.budget import Cost
from core.search.states import derive_seed
from core.world.captions import check
from demo.models import Models
from demo.strings import EXAMPLES

SCALES = (1, 2, 3, 4, 6, 8)
SIZE = 128
SCALES_ABILITIES = frozenset({"branches", "signature"})
NOISE_ABILITIES = frozenset({"signature", "renoise", "neighbours"})


class Painter:
    """Six scales, or a given number of diffusion-like steps that branch at the first only."""

    def __init__(self, name: str = "painter", steps: int | None = None, pause: float = 0.0):
        self.name, self.pause = name, pause
        self.num_steps = steps or len(SCALES)
        self.step_labels = tuple(f"{k}x{k}" for k in SCALES) if steps is None else tuple(f"t{i}" for i in range(steps))
        self.branching_steps = frozenset(range(self.num_steps)) if steps is None else frozenset({0})
        self.sharing_steps = frozenset(range(self.num_steps))
        self.abilities = SCALES_ABILITIES if steps is None else NOISE_ABILITIES
        self.start_cost, self.max_batch = Cost(), 16
        self.weights_bytes, self.decode_bytes = 0, 0
        self.decode_cost = Cost(flops_decoder=2e8, decodes=1)

    def start(self, prompt: str) -> tuple[int, ...]:
        return ()

    def step(self, states: Sequence[tuple[int, ...]], seeds: Sequence[int]) -> list[tuple[int, ...]]:
        time.sleep(self.pause)
        return [(*state, seed) for state, seed in zip(states, seeds, strict=True)]

    def renoise(self, states: Sequence[tuple[int, ...]], step: int, seeds: Sequence[int]) -> list[tuple[int, ...]]:
        return [(derive_seed(state[0], seed % 2**32),) * step for state, seed in zip(states, seeds, strict=True)]

    def neighbours(
        self, states: Sequence[tuple[int, ...]], seeds: Sequence[int], closeness: float
    ) -> list[tuple[int, ...]]:
        return self.renoise(states, 1, seeds)

    def preview(self, states: Sequence[tuple[int, ...]]) -> np.ndarray:
        return np.stack([self._paint(state) for state in states])

    def _paint(self, state: tuple[int, ...]) -> np.ndarray:
        picture = np.full((SIZE, SIZE, 3), 128.0)
        layers = range(len(SCALES)) if self.num_steps != len(SCALES) else range(len(state))
        for k in layers:
            seed = state[k] if self.num_steps == len(SCALES) else derive_seed(state[0], k)
            picture += _layer(seed, SCALES[k]) / (1 + 0.6 * k)
        if self.num_steps != len(SCALES):
            noise = np.random.default_rng(state[0] % 2**32).normal(0, 90, picture.shape)
            picture += noise * (1 - len(state) / self.num_steps)
        return picture.clip(0, 255).astype(np.uint8)

    def step_cost(self, step: int) -> Cost:
        tokens = SCALES[step] ** 2 if self.num_steps == len(SCALES) else 64
        return Cost(nfe=1, tokens=tokens, flops_generator=(3e7 if self.num_steps == len(SCALES) else 3e6) * tokens)

    def step_bytes(self, step: int) -> int:
        return 0

    def held_bytes(self, states: Sequence[tuple[int, ...]]) -> int:
        return 0

    def signature(self, states: Sequence[tuple[int, ...]]) -> list[list[float]]:
        return [(_layer(state[0], 1)[0, 0] / 128).tolist() for state in states]

    def freeze(self, state: tuple[int, ...]) -> bytes:
        return b"".join(seed.to_bytes(8, "big") for seed in state)

    def thaw(self, prompt: str, data: bytes) -> tuple[int, ...]:
        return tuple(int.from_bytes(data[i : i + 8], "big") for i in range(0, len(data), 8))


def _layer(seed: int, k: int) -> np.ndarray:
    grid = np.random.default_rng(seed % 2**32).uniform(0, 255, (k, k, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(grid).resize((SIZE, SIZE), Image.Resampling.BICUBIC), float) - 128


class Warmth:
    """Prefers red over blue."""

    max_batch, weights_bytes, image_bytes = 16, 0, 0
    name, cost = "warmth", Cost(flops_verifier=1e8, verifier_calls=1)

    def score(self, prompt: str, images: np.ndarray) -> list[float]:
        return [float((image[..., 0].astype(float) - image[..., 2]).mean() / 64) for image in images]


class Lightness:
    """Prefers light."""

    max_batch, weights_bytes, image_bytes = 16, 0, 0
    name, cost = "lightness", Cost(flops_verifier=1e8, verifier_calls=1)

    def score(self, prompt: str, images: np.ndarray) -> list[float]:
        return [float(image.mean() / 255) for image in images]


def painted_models(pause: float = 0.0) -> Models:
    """A page's worth of models; `pause` in seconds is slept before each step."""
    return Models(
        generators={
            "painter": Entry("Paints scale by scale", lambda: Painter(pause=pause), SCALES_ABILITIES),
            "noisy": Entry("Paints out of noise", lambda: Painter("noisy", 12, pause / 8), NOISE_ABILITIES),
        },
        verifiers={"warmth": Entry("Red over blue", Warmth), "lightness": Entry("Light", Lightness)},
        searcher="painter",
        steps=tuple(f"{k}x{k}" for k in SCALES),
        baseline="noisy",
        check=check,
        examples=EXAMPLES,
        default_gflop=100,
        max_gflop=400,
    )


def with_strangers(models: Models) -> Models:
    """The same models, and a generator and a verifier of others whose weights are not here: they must not be loaded."""
    def never() -> None:
        raise AssertionError("it was loaded")

    needs = Needs(("sdxl",), parameters=1e8)
    giant = Entry("Paints very well, elsewhere", never, SCALES_ABILITIES, needs=needs)
    stern = Entry("Knows better, elsewhere", never, dear=True, needs=needs)
    return replace(models, generators={**models.generators, "giant": giant},
                   verifiers={**models.verifiers, "stern": stern})
