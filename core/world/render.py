"""Scenes to pixels, one at a time: premultiplied sprites laid over a pale background. compose.py draws many."""

import random

import numpy as np

from core.world.scene import CANVAS, Scene, sample_scene
from core.world.sprites import sprite
from core.world.vocabulary import BACKGROUNDS


def render(scene: Scene) -> np.ndarray:
    """Draw a placed scene. Returns uint8 [128, 128, 3]."""
    canvas = np.empty((CANVAS, CANVAS, 3), np.float32)
    canvas[:] = BACKGROUNDS[scene.background]
    for thing in scene.things:
        pixels = sprite(thing.noun, thing.colour, thing.pattern, thing.size)
        top, left = thing.y - thing.size // 2, thing.x - thing.size // 2
        window = canvas[top : top + thing.size, left : left + thing.size]
        window *= 1 - pixels[..., 3:].astype(np.float32) / 255
        window += pixels[..., :3]
    return (canvas + 0.5).clip(0, 255).astype(np.uint8)


def render_batch(rng: random.Random, count: int) -> tuple[list[Scene], np.ndarray]:
    """Sample and draw `count` scenes. Returns the scenes and uint8 [count, 128, 128, 3]."""
    scenes = [sample_scene(rng) for _ in range(count)]
    return scenes, np.stack([render(scene) for scene in scenes])
