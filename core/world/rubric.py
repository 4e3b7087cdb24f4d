"""What "good-looking" means in the emoji world: five published criteria, each in [0, 1], and their weighted mean.

Four look at the arrangement and come from the scene alone; crispness compares the image with the clean drawing.
"""

import math
from functools import lru_cache

import numpy as np

from core.world.scene import CANVAS, Scene, Thing
from core.world.sprites import load_atlas
from core.world.vocabulary import BACKGROUNDS

WEIGHTS = {"margins": 0.15, "balance": 0.15, "spacing": 0.15, "contrast": 0.15, "crispness": 0.40}


def _share(value: float, worst: float, best: float) -> float:
    return min(1.0, max(0.0, (value - worst) / (best - worst)))


def _gap(a: Thing, b: Thing) -> float:
    return max(abs(a.x - b.x), abs(a.y - b.y)) - (a.size + b.size) / 2


def arrangement(scene: Scene) -> dict[str, float]:
    """Margins (2 to 14 px to the edge), balance (centre of area 28 to 0 px off), spacing (2 to 14 px), contrast."""
    things = scene.things
    edge = min(min(t.x, t.y, CANVAS - t.x, CANVAS - t.y) - t.size / 2 for t in things)
    area = sum(t.size**2 for t in things)
    off = [sum(getattr(t, axis) * t.size**2 for t in things) / area - CANVAS / 2 for axis in ("x", "y")]
    gaps = [_gap(a, b) for index, a in enumerate(things) for b in things[:index]]
    return {
        "margins": _share(edge, 2, 14),
        "balance": _share(math.hypot(*off), 28, 0),
        "spacing": _share(min(gaps, default=14), 2, 14),
        "contrast": sum(_contrast(thing, scene.background) for thing in things) / len(things),
    }


def _contrast(thing: Thing, background: str) -> float:
    """Distance of the sprite's mean colour from the background, 0.1 to 0.7 of the RGB cube's side."""
    colour = _mean_colour(thing.noun, thing.colour, thing.pattern)
    return _share(math.dist(colour, [level / 255 for level in BACKGROUNDS[background]]), 0.1, 0.7)


@lru_cache(maxsize=2048)
def _mean_colour(noun: str, colour: str | None, pattern: str | None) -> tuple[float, ...]:
    pixels = load_atlas()[noun, colour, pattern].reshape(-1, 4).astype(np.float64)
    return tuple(pixels[:, :3].sum(0) / pixels[:, 3].sum())


def crispness(squared_error: float) -> float:
    """Likeness of an image to the clean drawing by their mean squared error, white being 1: 14 dB (0) to 30 dB (1)."""
    return _share(-10 * math.log10(max(squared_error, 1e-6)), 14, 30)


def aesthetic(scene: Scene, crisp: float = 1.0) -> float:
    """The rubric's score from 1 (worst) to 10. An empty picture gets 1."""
    if not scene.things:
        return 1.0
    parts = arrangement(scene) | {"crispness": crisp}
    return 1 + 9 * sum(WEIGHTS[name] * value for name, value in parts.items())
