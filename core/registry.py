"""Models by name, imported and loaded on first use, one instance a process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from threading import RLock
from typing import Any

from core.search.errors import BadRequest

_LOADING = RLock()


@dataclass(frozen=True)
class Entry:
    description: str
    load: Callable[[], Any]
    abilities: frozenset[str] = frozenset({"branches"})   # of a generator: see core/generators/base.py


def lazy(target: str) -> Callable[[], Any]:
    """A loader that imports `module:function` and calls it, once a process."""
    module, _, function = target.partition(":")
    load_once = cache(lambda: getattr(import_module(module), function)())

    def load() -> Any:
        with _LOADING:
            return load_once()

    return load


def pick(kind: str, entries: Mapping[str, Entry], name: str) -> Entry:
    """The entry of that name. Raises BadRequest with the names that there are."""
    if name not in entries:
        raise BadRequest(f"unknown {kind} {name!r}: choose one of {', '.join(entries)}")
    return entries[name]


def readiness(entry: Entry) -> str | None:
    """None if the model loads, else why it does not. Loads it."""
    try:
        entry.load()
    except Exception as error:
        return " ".join(str(error).split()) or type(error).__name__
    return None
