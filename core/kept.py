"""What is loaded once and kept. What is let go of is found again as long as somebody uses it."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any
from weakref import WeakValueDictionary


class Kept:
    """A function that makes an object once for each set of arguments, which can be hashed."""

    def __init__(self, load: Callable[..., Any]):
        self._load = load
        self._kept: dict[tuple, Any] = {}
        self._used: WeakValueDictionary[tuple, Any] = WeakValueDictionary()
        update_wrapper(self, load)

    def __call__(self, *args: Any) -> Any:
        if args not in self._kept:
            used = self._used.get(args)
            self._kept[args] = self._used[args] = self._load(*args) if used is None else used
        return self._kept[args]

    def let_go(self) -> None:
        """Keep nothing. What is in use elsewhere stays there, and is what the next call gives."""
        self._kept.clear()


SHARED: list[Kept] = []


def shared(load: Callable[..., Any]) -> Kept:
    """Decorates what loads networks that several models use; `let_go_shared` is for all of them."""
    SHARED.append(Kept(load))
    return SHARED[-1]


def let_go_shared() -> None:
    for one in SHARED:
        one.let_go()
