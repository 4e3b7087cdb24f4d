"""A search asked for by name: what routes and API take, `{"prompt": ..., "width": 4, "seed": 7}` and the like.

What is left out is as the page begins with; what cannot be is refused in the words of demo/settings.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.search.errors import BadRequest
from core.search.events import RunSpec
from core.search.strategies.registry import get_strategy
from demo import settings, strings
from demo.links import default_spec
from demo.models import Models
from demo.settings import Plan

AROUND = ("baseline", "private")  # what is no part of the searcher's spec


@dataclass(frozen=True)
class Asked:
    spec: RunSpec
    baseline: str = settings.BASELINE
    private: bool = False

    def plan(self, models: Models) -> Plan:
        """Loads the models. Raises BadRequest where the budget is too small, PromptOutOfWorld for strange words."""
        settings.require_words(models, self.spec)
        return settings.plan(models, self.spec, self.baseline)


def read_asked(models: Models, asked: Mapping[str, Any]) -> Asked:
    """Names of settings.FIXED and AROUND, and the strategy's parameters, each with a value or null for the usual one.

    Raises BadRequest or UnsupportedStrategy with what is wrong. Loads nothing.
    """
    given = {name: value for name, value in asked.items() if value is not None}
    usual = dict(zip(settings.FIXED, settings.control_values(default_spec(models, given.get("model"))), strict=False))
    fixed = {name: given.pop(name, value) for name, value in usual.items()}
    around = read_around(models, given.pop("baseline", settings.BASELINE), given.pop("private", False))
    params = [param.name for param in get_strategy(str(fixed["strategy"])).params]
    if strange := [name for name in given if name not in params]:
        allowed = ", ".join([*settings.FIXED, *AROUND, *params])
        raise BadRequest(strings.STRANGE_SETTING.format(name=repr(strange[0])[:40], allowed=allowed))
    return Asked(settings.spec_of(models, fixed, given), *around)


def read_around(models: Models, baseline: Any, private: Any) -> tuple[str, bool]:
    """Raises BadRequest."""
    if not isinstance(private, bool):
        raise BadRequest(strings.BAD_PRIVATE)
    return settings.read_baseline(models, baseline), private
