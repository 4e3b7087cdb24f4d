"""A strategy's signature is its schema: sliders, command-line flags and their validation come from it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.search.errors import BadRequest


@dataclass(frozen=True)
class Range:
    low: int
    high: int


@dataclass(frozen=True)
class Param:
    """One parameter of a strategy. `range` is None for a look."""

    name: str
    default: Any
    range: Range | None

    def checked(self, value: Any) -> Any:
        """The value itself. Raises BadRequest when it is not allowed."""
        return checked_look(value) if self.range is None else self._checked_int(value)

    def _checked_int(self, value: Any) -> int:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not self.range.low <= value <= self.range.high:
            raise BadRequest(
                f"{self.name} {value!r} is impossible: it is a whole number "
                f"from {self.range.low} to {self.range.high}"
            )
        return value


def checked_look(value: Any, num_steps: int | None = None) -> Any:
    """The look itself. Raises BadRequest unless it is preview, rollout, or a step (of `num_steps`, if given)."""
    if value in ("preview", "rollout"):
        return value
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < 1 or (num_steps is not None and value > num_steps):
        top = "the last one" if num_steps is None else num_steps
        raise BadRequest(f"look {value!r} is impossible: it is preview, rollout, or a scale from 1 to {top}")
    return value


def params_of(strategy: Callable) -> tuple[Param, ...]:
    """The parameters after `search`, each with its default and, where annotated, its Range."""
    _search, *parameters = inspect.signature(strategy).parameters.values()
    return tuple(Param(p.name, p.default, _range(p.annotation)) for p in parameters)


def _range(annotation: Any) -> Range | None:
    return next((note for note in getattr(annotation, "__metadata__", ()) if isinstance(note, Range)), None)
