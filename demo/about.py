"""What is to be known of the models on offer: from the registries, from the cards of the weights, and in words."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.reference import fetched
from demo import strings
from demo.models import Models

CARDS = Path(__file__).parents[1] / "assets" / "weights"
MADE_OF = {  # the weights behind a model that has no card of its own name
    "emoji-ar": ("tokenizer", "next_scale"), "emoji-flow": ("tokenizer", "flow"),
    "emoji-flow-sde": ("tokenizer", "flow"), "emoji-ar-flow": ("tokenizer", "next_scale", "flow"),
}  # fmt: skip
MOST_METRICS = 40


def facts(models: Models) -> dict[str, Any]:
    """All that the page About says."""
    return {
        "intro": strings.ABOUT["intro"],
        "generators": [_model(name, entry, strings.GENERATOR_NAMES) for name, entry in models.generators.items()],
        "verifiers": [_model(name, entry, strings.VERIFIER_NAMES) for name, entry in models.verifiers.items()],
        "cards": cards(),
        "flops": strings.ABOUT["flops"], "words": strings.ABOUT["words"], "licences": strings.ABOUT["licences"],
        "data": strings.ABOUT["data"],
    }  # fmt: skip


def _model(name: str, entry: Any, names: dict[str, str]) -> dict[str, Any]:
    own = [card["name"] for card in cards()]
    weights = [part for part in MADE_OF.get(name, (name,)) if part in own]
    about = f"{entry.description}. To download: {fetched(entry)}" if entry.foreign else entry.description
    return {"key": name, "name": strings.name_of(names, name), "about": about.replace("**", ""), "weights": weights}


@lru_cache(maxsize=1)
def cards() -> list[dict[str, Any]]:
    """The cards of the weights that come with the program."""
    return [_card(path) for path in sorted(CARDS.glob("*.json"))]


def _card(path: Path) -> dict[str, Any]:
    card = json.loads(path.read_text("utf-8"))
    told = {key: card.get(key) for key in ("name", "about", "parameters", "data", "seed", "images_seen", "minutes",
                                           "hardware", "command", "sha256")}  # fmt: skip
    metrics = [[name, _written(value)] for name, value in card.get("metrics", {}).items()]
    return told | {"metrics": metrics[:MOST_METRICS], "sheet": path.with_suffix(".png").is_file()}


def _written(value: Any) -> str:
    """A figure, or a figure with its interval."""
    if isinstance(value, bool) or not isinstance(value, int | float | list | dict):
        return str(value)
    if isinstance(value, int | float):
        return f"{value:.4g}"
    if isinstance(value, list) and len(value) == 3 and all(isinstance(part, int | float) for part in value):
        return f"{value[0]:.3f} [{value[1]:.3f}, {value[2]:.3f}]"
    return json.dumps(value)
