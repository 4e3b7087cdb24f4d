"""The models that the page offers by default: everything in the registries, at first the embedded pair."""

from core.generators.registry import GENERATORS
from core.verifiers.registry import VERIFIERS
from core.world.captions import check
from demo.models import Models
from demo.strings import EXAMPLES

STEPS = ("1x1", "2x2", "3x3", "4x4", "6x6", "8x8")  # of emoji-ar


def embedded_models() -> Models:
    """Loads nothing yet."""
    return Models(
        generators=GENERATORS,
        verifiers=VERIFIERS,
        searcher="emoji-ar",
        steps=STEPS,
        baseline="emoji-flow-sde",
        check=check,
        world="emoji-",
        natives=frozenset({"image_reward", "judge", "clip_score", "aesthetic"}),
        examples=EXAMPLES,
    )
