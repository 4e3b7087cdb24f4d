"""Whether a model could be used here, told without loading or importing it: the first thing that is in the way."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from core.machine import Machine, machine
from core.packages import slim
from core.packages.catalogue import Package, in_bytes, missing, package
from core.registry import Entry
from core.search.errors import WeightsMissing

ASSETS = Path(__file__).resolve().parents[2] / "assets" / "weights"
State = Literal["ready", "too large", "needs package", "needs download"]


@dataclass(frozen=True)
class Readiness:
    """state: in a word; short: that, with a figure, for a list; reason: in a sentence, with what to do."""

    state: State
    short: str = ""
    reason: str | None = None

    @property
    def ready(self) -> bool:
        return self.state == "ready"


READY = Readiness("ready")
ENDLESS = Machine("cpu", 0, 4)   # anything fits


def readiness(name: str, entry: Entry, here: Machine | None = None) -> Readiness:
    """Of a model by that name. Files are not read: damaged ones, and plug-ins that fail, show when they are loaded."""
    needs = entry.needs
    if needs is None:
        return READY
    here = here or machine()
    if here.memory and (needed := needs.bytes_on(here.device, here.width)) > here.memory:
        return _too_large(name, needed, here)
    if lacking := [module for module in needs.modules if find_spec(re.match(r"\w+", module)[0]) is None]:
        return _lacks_modules(name, lacking)
    if absent := [asset for asset in needs.assets if not _is_here(asset)]:
        return Readiness("needs download", "its weights are missing", f"assets/weights/{absent[0]} is missing: fetch "
                         f"it with the repository or run python -m core.training.{absent[0]}")
    lacking = [one for one in map(package, needs.packages) if missing(one) and not slim.here(one.name)]
    return _lacks_weights(name, lacking) if lacking else READY


def require(name: str, entry: Entry) -> None:
    """Raises WeightsMissing where something has to be fetched first. Whether it fits is tried."""
    found = readiness(name, entry, ENDLESS)
    if found.reason:
        raise WeightsMissing(found.reason)


def _is_here(asset: str) -> bool:
    return (ASSETS / f"{asset}.safetensors").exists() or (ASSETS / asset).is_dir()


def _too_large(name: str, needed: float, here: Machine) -> Readiness:
    has = in_bytes(here.memory)
    return Readiness("too large", f"needs {in_bytes(needed)}, has {has}", (
        f"{name} does not fit this machine: it needs about {in_bytes(needed)} of {here.kind}, and there are {has}; "
        "choose a smaller model or a larger machine (--memory corrects what is believed to be there)"))


def _lacks_modules(name: str, lacking: list[str]) -> Readiness:
    names = " and ".join(re.match(r"\w+", module)[0] for module in lacking)
    install = " ".join(f"'{module}'" for module in lacking)
    return Readiness("needs package", f"needs {names}",
                     f"{name} needs {names}, not installed here: run pip install {install}")


def _lacks_weights(name: str, lacking: list[Package]) -> Readiness:
    sizes = [one.bytes for one in lacking]
    size = "size unknown" if None in sizes else f"about {in_bytes(sum(sizes))}"
    licences = "; ".join(dict.fromkeys(one.licence_line for one in lacking))
    return Readiness("needs download", f"download {size.removeprefix('about ')}", (
        f"{name} is not on this machine yet: {size} to fetch, licence {licences}; run python -m core.cli download "
        f"{name}"))


def told(name: str, entry: Entry) -> dict[str, Any]:
    """What programs are told of a model."""
    found, needs = readiness(name, entry), entry.needs
    facts: dict[str, Any] = {"description": entry.description, "ready": found.ready, "reason": found.reason}
    if not entry.foreign:
        return facts
    here = machine()
    return facts | {
        "state": found.state, "command": f"python -m core.cli download {name}",
        "needs_bytes": round(needs.bytes_on(here.device, here.width)), "has_bytes": here.memory, "memory": here.kind,
        "packages": [{"name": one.name, "bytes": one.bytes, "licence": one.licence_line, "gated": one.gated,
                      "here": not missing(one) or slim.here(one.name)} for one in map(package, needs.packages)],
    }
