"""Models by name, imported and loaded on first use, one instance a process."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from threading import RLock
from typing import Any

from core.kept import Kept
from core.search.errors import BadRequest, BeamscopeError, OutOfMemory, is_out_of_memory
from core.search.memory import let_go
from core.search.plugins import load_plugins

_LOADING = RLock()
NO_ROOM = ("there is not enough memory to load this model beside those that are loaded: start again with it alone, "
           "choose a smaller one, or another --device or --dtype")
PLACE = ("BEAMSCOPE_DEVICE", "BEAMSCOPE_DTYPE")


def _unlock() -> None:
    """A process that was forked while another thread was loading would wait for that for ever."""
    global _LOADING
    _LOADING = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)


@dataclass(frozen=True)
class Needs:
    """What has to be there before a model can be loaded, and the memory that it takes then, about."""

    packages: tuple[str, ...] = ()   # of weights of others (core/packages/catalogue.py)
    modules: tuple[str, ...] = ()    # Python packages beyond requirements.txt, as pip takes them
    assets: tuple[str, ...] = ()     # weights of our own, in assets/weights
    parameters: float = 0.0          # that work at the same time
    before: float = 0.0              # of a text encoder that leaves the GPU before these work
    working: float = 0.0             # bytes for one image beside the parameters, in 16 bits
    layered: bool = False            # a GPU that is too small for the parameters has one layer of them at a time
    gflop: float = 0.0               # of one image of a generator, decoded, about

    def bytes_on(self, device: str, width: int) -> float:
        """Of GPU memory what is there at the same time; of main memory, where nothing has to leave, all of it."""
        gpu = device == "cuda"
        if gpu and self.layered:
            return self.working * width / 2
        parameters = max(self.parameters, self.before) if gpu else self.parameters + self.before
        return parameters * width + self.working * width / 2


@dataclass(frozen=True)
class Entry:
    description: str
    load: Callable[[], Any]
    abilities: frozenset[str] = frozenset({"branches"})   # of a generator: see core/generators/base.py
    dear: bool = False   # of a verifier: looks on only where it is asked to by name
    needs: Needs | None = None   # None: known to nobody before it is loaded, as of plug-ins

    @property
    def foreign(self) -> bool:
        """Whether its weights are others' and large: it is loaded only where somebody asks for it by name."""
        return self.needs is not None and self.needs.parameters > 0

    @property
    def native(self) -> bool:
        """Whether it was trained on the embedded world: a verifier that has nothing to say of other pictures."""
        return self.needs is not None and bool(self.needs.assets)


def lazy(target: str) -> Once:
    """A loader that imports `module:function` and calls it, once a process."""
    module, _, function = target.partition(":")
    return Once(lambda: getattr(import_module(module), function)())


class Once:
    """A loader that loads once for each place that models run on: that of a process may change (core/place.py)."""

    def __init__(self, load: Callable[[], Any]):
        self._kept = Kept(lambda *_place: load())

    def __call__(self) -> Any:
        """The model. Raises OutOfMemory where there is no room for it."""
        with _LOADING:
            try:
                return self._kept(*map(os.environ.get, PLACE))
            except Exception as error:
                if isinstance(error, BeamscopeError) or not is_out_of_memory(error):
                    raise
        let_go()   # here, where the error no longer holds on to what filled the memory
        raise OutOfMemory(NO_ROOM)

    def let_go(self) -> None:
        """The next call loads anew, unless somebody still uses what was loaded."""
        with _LOADING:
            self._kept.let_go()


def plugins(group: str, ours: Mapping[str, Entry], reserved: str = "") -> dict[str, Entry]:
    """The models of other packages by name: see core/search/plugins.py.

    None may have a name of ours, nor one that begins with `reserved`.
    """
    return load_plugins(group, _as_entry, taken=_Taken(ours, reserved))


@dataclass(frozen=True)
class _Taken:
    names: Container[str]
    prefix: str

    def __contains__(self, name: str) -> bool:
        return name in self.names or bool(self.prefix) and name.startswith(self.prefix)


def _as_entry(plugin: Any) -> Entry:
    """A plug-in is an Entry, or what makes the model when it is called: a function or a class.

    The first line of its docstring is the description; a generator's may carry its `abilities`, by default that it
    branches.
    """
    if isinstance(plugin, Entry):
        return replace(plugin, load=Once(plugin.load))
    if not callable(plugin):
        raise TypeError(f"{plugin!r} is neither an Entry nor a function that loads a model")
    if not plugin.__doc__:
        raise TypeError("it needs a docstring: its first line is shown to people")
    abilities = frozenset(getattr(plugin, "abilities", {"branches"}))
    return Entry(plugin.__doc__.strip().partition("\n")[0], Once(plugin), abilities)


def pick(kind: str, entries: Mapping[str, Entry], name: str) -> Entry:
    """The entry of that name. Raises BadRequest with the names that there are."""
    if name not in entries:
        raise BadRequest(f"unknown {kind} {name!r}: choose one of {', '.join(entries)}")
    return entries[name]


def failure(entry: Entry) -> str | None:
    """None if the model loads, else why it does not. Loads it."""
    try:
        entry.load()
    except Exception as error:
        return " ".join(str(error).split()) or type(error).__name__
    return None
