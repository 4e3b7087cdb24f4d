"""The verifiers by name, ours and those of other packages, the default guide first."""

from __future__ import annotations

from core.registry import Entry, lazy, pick, plugins
from core.verifiers.base import Verifier

VERIFIERS: dict[str, Entry] = {
    "image_reward": Entry("Preference for the prompt, attributes above all", lazy("core.verifiers.image_reward:load")),
    "judge": Entry("Answers the prompt's questions one by one; counts and places",
                   lazy("core.verifiers.judge:load"), dear=True),
    "clip_score": Entry("Alignment of image and prompt, weak at binding", lazy("core.verifiers.clip_score:load")),
    "aesthetic": Entry("Looks only, blind to the prompt", lazy("core.verifiers.aesthetic:load")),
}
VERIFIERS |= plugins("verifiers", VERIFIERS)


def load_verifier(name: str) -> Verifier:
    return pick("verifier", VERIFIERS, name).load()
