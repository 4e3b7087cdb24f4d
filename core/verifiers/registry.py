"""The verifiers by name, the default guide first."""

from __future__ import annotations

from core.registry import Entry, lazy, pick
from core.verifiers.base import Verifier

VERIFIERS: dict[str, Entry] = {
    "image_reward": Entry("Preference for the prompt, attributes above all", lazy("core.verifiers.image_reward:load")),
    "clip_score": Entry("Alignment of image and prompt, weak at binding", lazy("core.verifiers.clip_score:load")),
    "aesthetic": Entry("Looks only, blind to the prompt", lazy("core.verifiers.aesthetic:load")),
}


def load_verifier(name: str) -> Verifier:
    return pick("verifier", VERIFIERS, name).load()
