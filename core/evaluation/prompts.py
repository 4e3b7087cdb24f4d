"""Development prompts: complete sentences of random scenes, the same for everyone who asks with the same seed."""

import random

from core.world.captions import full_prompt
from core.world.scene import sample_scene


def dev_prompts(count: int, seed: int = 0) -> list[str]:
    """`count` different prompts from scenes that no trainer draws (their random streams are named otherwise)."""
    rng, found = random.Random(f"development prompts:{seed}"), {}
    while len(found) < count:
        found[full_prompt(sample_scene(rng))] = None
    return list(found)
