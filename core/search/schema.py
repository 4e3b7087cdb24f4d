"""A strategy's signature is its schema: sliders, command-line flags and their validation come from it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from core.search.errors import BadRequest
from core.search.events import Look


@dataclass(frozen=True)
class Range:
    low: float
    high: float


@dataclass(frozen=True)
class Param:
    """One parameter of a strategy: a number with its range, one of some choices, or a look (neither of the two)."""

    name: str
    default: Any
    range: Range | None = None
    whole: bool = True               # of a number
    optional: bool = False           # a number that may be None: off
    choices: tuple[str, ...] = ()

    @property
    def is_look(self) -> bool:
        return self.range is None and not self.choices

    @property
    def allowed(self) -> str:
        """What it may be, in words."""
        if self.choices:
            return " or ".join([", ".join(self.choices[:-1]), self.choices[-1]])
        if self.is_look:
            return "preview, rollout, or a scale from 1 to the last one"
        number = f"a {'whole ' * self.whole}number from {self.range.low:g} to {self.range.high:g}"
        return f"{number}, or off" if self.optional else number

    def checked(self, value: Any) -> Any:
        """The value itself. Raises BadRequest when it is not allowed."""
        if self.is_look:
            return checked_look(value)
        if not self._allows(value):
            raise BadRequest(f"{self.name} {value!r} is impossible: it is {self.allowed}")
        return value if self.choices or self.whole or value is None else float(value)

    def _allows(self, value: Any) -> bool:
        if self.choices:
            return value in self.choices
        if value is None:
            return self.optional
        kinds = int if self.whole else (int, float)
        number = isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
        return number and self.range.low <= value <= self.range.high


def parse_value(text: str) -> Any:
    """What was typed for some parameter, not yet checked: a number, None for off, else the words themselves."""
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return None if text == "off" else text


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
    """The parameters after `search`, as their annotations say.

    Annotated[int, Range(1, 8)], Annotated[float, Range(0, 1)], Annotated[float | None, Range(0, 1)] (None is off),
    Literal["a", "b"], or Look. Raises TypeError for anything else and for a parameter without a default.
    """
    _search, *parameters = inspect.signature(strategy).parameters.values()
    annotated = SimpleNamespace(__annotations__={p.name: p.annotation for p in parameters})
    hints = get_type_hints(annotated, strategy.__globals__, include_extras=True)   # reads quoted ones too
    return tuple(_param(strategy, p, hints[p.name]) for p in parameters)


def _param(strategy: Callable, parameter: inspect.Parameter, hint: Any) -> Param:
    name, default = parameter.name, parameter.default
    if default is inspect.Parameter.empty:
        raise TypeError(f"parameter {name} of {strategy.__name__} needs a default")
    if hint == Look:
        return Param(name, default)
    if get_origin(hint) is Literal:
        return Param(name, default, choices=get_args(hint))
    range_ = next((note for note in getattr(hint, "__metadata__", ()) if isinstance(note, Range)), None)
    if range_ is None:
        raise TypeError(f"parameter {name} of {strategy.__name__} needs a Range, a Literal or Look as its annotation")
    kinds = get_args(hint.__origin__) or (hint.__origin__,)
    return Param(name, default, range_, whole=float not in kinds, optional=type(None) in kinds)
