"""The verifiers by name, ours, those of others whose weights can be fetched, and those of other packages.

The default guide is the first. `dear`: those of billions of FLOPs an image look on only where they are asked to.
"""

from __future__ import annotations

import os

from core.packages.catalogue import PACKAGES
from core.registry import Entry, Needs, lazy, pick, plugins
from core.verifiers.base import Verifier

VLM = os.environ.get("BEAMSCOPE_VLM") or "llava-onevision-0.5b"   # a package, or a folder

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
        "Alignment of image and prompt, blind to relations", lazy("core.verifiers.clip_score:load"),
        needs=Needs(assets=("clip_score",)),
    ),
    "aesthetic": Entry(
        "Looks only, blind to the prompt", lazy("core.verifiers.aesthetic:load"), needs=Needs(assets=("aesthetic",)),
    ),
    "image_reward-1.0": Entry(
        "ImageReward, trained on people's choices (Xu et al. 2023)", lazy("core.verifiers.blip_reward:load"), dear=True,
        needs=Needs(("image-reward",), parameters=0.446e9, working=0.1e9),
    ),
    "clip_score-l14": Entry(
        "CLIPScore of OpenAI's CLIP ViT-L/14: alignment, weak at binding", lazy("core.verifiers.open_clip_score:load"),
        dear=True, needs=Needs(("clip-vit-l-14",), parameters=0.428e9, working=0.1e9),
    ),
    "aesthetic-laion": Entry(
        "LAION's aesthetic score: looks only, blind to the prompt", lazy("core.verifiers.laion_aesthetic:load"),
        dear=True, needs=Needs(("laion-aesthetic", "clip-vit-l-14"), parameters=0.429e9, working=0.1e9),
    ),
    "pickscore": Entry(
        "PickScore, trained on people's choices between two images (Kirstain et al. 2023)",
        lazy("core.verifiers.pickscore:load"), dear=True,
        needs=Needs(("pickscore",), parameters=0.986e9, working=0.2e9),
    ),
    "vlm_judge": Entry(
        "A vision-language model answers the prompt's questions: LLaVA-OneVision 0.5B, or what BEAMSCOPE_VLM names",
        lazy("core.verifiers.vlm_judge:load"), dear=True,
        needs=Needs((VLM,) if VLM in PACKAGES else (), parameters=0.89e9, working=0.5e9),
    ),
    "vlm_judge-7b": Entry(
        "The same with LLaVA-OneVision 7B", lazy("core.verifiers.vlm_judge:load_7b"), dear=True,
        needs=Needs(("llava-onevision-7b",), parameters=8.03e9, working=1e9),
    ),
}
VERIFIERS |= plugins("verifiers", VERIFIERS)


def load_verifier(name: str) -> Verifier:
    return pick("verifier", VERIFIERS, name).load()
