"""The generators by name, ours and those of other packages."""

from __future__ import annotations

from core.generators.base import Generator
from core.registry import Entry, Needs, lazy, pick, plugins

GENERATORS: dict[str, Entry] = {
    "emoji-ar": Entry(
        "Next-scale autoregressive model of the emoji world", lazy("core.generators.emoji_ar:load"),
        frozenset({"branches", "signature"}), needs=Needs(assets=("tokenizer", "next_scale")),
    ),
    "emoji-flow": Entry(
        "Flow-matching diffusion model of the emoji world, ODE sampler", lazy("core.generators.emoji_flow:load"),
        frozenset({"signature", "renoise", "neighbours"}), needs=Needs(assets=("tokenizer", "flow")),
    ),
    "emoji-flow-sde": Entry(
        "The same diffusion model, SDE sampler: draws at every step", lazy("core.generators.emoji_flow:load_sde"),
        frozenset({"branches", "signature", "renoise", "neighbours"}), needs=Needs(assets=("tokenizer", "flow")),
    ),
    "emoji-ar-flow": Entry(
        "The next-scale model lays out, the diffusion model finishes", lazy("core.generators.emoji_ar_flow:load"),
        frozenset({"branches", "signature", "renoise", "handover"}),
        needs=Needs(assets=("tokenizer", "next_scale", "flow")),
    ),
}
GENERATORS |= plugins("generators", GENERATORS, reserved="emoji-")   # whose prompts have to be of the emoji world


def load_generator(name: str) -> Generator:
    return pick("generator", GENERATORS, name).load()
