"""The generators by name."""

from __future__ import annotations

from core.generators.base import Generator
from core.registry import Entry, lazy, pick

GENERATORS: dict[str, Entry] = {
    "emoji-ar": Entry("Next-scale autoregressive model of the emoji world", lazy("core.generators.emoji_ar:load")),
    "emoji-flow": Entry(
        "Flow-matching diffusion model of the emoji world, ODE sampler", lazy("core.generators.emoji_flow:load"),
        branches=False,
    ),
    "emoji-flow-sde": Entry(
        "The same diffusion model, SDE sampler: draws at every step", lazy("core.generators.emoji_flow:load_sde")
    ),
}


def load_generator(name: str) -> Generator:
    return pick("generator", GENERATORS, name).load()
