"""The verifiers by name, ours, those of others whose weights can be fetched, and those of other packages.

The default guide is the first. `dear`: those of billions of FLOPs an image look on only where they are asked to.
"""

from __future__ import annotations

from core.registry import Entry, Needs, lazy, pick, plugins
from core.verifiers.base import Verifier

VERIFIERS: dict[str, Entry] = {
    "image_reward": Entry(
        "Preference for the prompt, attributes above all", lazy("core.verifiers.image_reward:load"),
        needs=Needs(assets=("image_reward",)),
    ),
    "judge": Entry(
        "Answers the prompt's questions one by one; counts and places", lazy("core.verifiers.judge:load"), dear=True,
        needs=Needs(assets=("judge",)),
    ),
    "clip_score": Entry(
        "Alignment of image and prompt, weak at binding", lazy("core.verifiers.clip_score:load"),
        needs=Needs(assets=("clip_score",)),
    ),
    "aesthetic": Entry(
        "Looks only, blind to the prompt", lazy("core.verifiers.aesthetic:load"), needs=Needs(assets=("aesthetic",)),
    ),
    "image_reward-1.0": Entry(
        "ImageReward, trained on people's choices (Xu et al. 2023)", lazy("core.verifiers.blip_reward:load"), dear=True,
        needs=Needs(("image-reward",), ("transformers", "tokenizers"), parameters=0.446e9, working=0.1e9),
    ),
}
VERIFIERS |= plugins("verifiers", VERIFIERS)


def load_verifier(name: str) -> Verifier:
    return pick("verifier", VERIFIERS, name).load()
