"""Generators, verifiers and strategies of other packages, found by the entry points that these declare.

The groups are beamscope.generators, beamscope.verifiers and beamscope.strategies. A plug-in that cannot be loaded
never takes the program down: what is wrong with it is kept in `BROKEN` and shown with the models.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container
from importlib.metadata import entry_points
from typing import Any, TypeVar

T = TypeVar("T")
BROKEN: dict[str, str] = {}   # by "group/name": why it is not offered

log = logging.getLogger(__name__)


def load_plugins(group: str, read: Callable[[Any], T], taken: Container[str] = ()) -> dict[str, T]:
    """The plug-ins of one group by name, each as `read` makes of what its entry point names."""
    found: dict[str, T] = {}
    for point in entry_points(group=f"beamscope.{group}"):
        try:
            if point.name in taken or point.name in found:
                raise ValueError(f"the name {point.name} is taken")
            value = read(point.load())
            if getattr(value, "name", point.name) != point.name:
                raise ValueError(f"its entry point calls it {point.name}, it calls itself {value.name}")
            found[point.name] = value
        except Exception as error:
            BROKEN[f"{group}/{point.name}"] = reason = " ".join(str(error).split()) or type(error).__name__
            log.warning("plug-in %s of beamscope.%s is not offered: %s", point.name, group, reason)
    return found
