"""All generators, verifiers and strategies, ours and plug-ins, as a table for people and programs."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from core.generators.registry import GENERATORS
from core.packages.catalogue import in_bytes, package
from core.packages.readiness import told
from core.registry import Entry, failure
from core.search.plugins import BROKEN
from core.search.strategies.registry import STRATEGIES, Strategy, unsupported
from core.verifiers.registry import VERIFIERS


def reference(load: bool = False, state: bool = False) -> dict[str, dict[str, dict[str, Any]]]:
    """By kind, by name. `state` also tells which models could be used here, and what is in the way of the others;
    `load` makes sure of it."""
    table = {
        "generators": {name: _model(name, entry, load, state) for name, entry in GENERATORS.items()},
        "verifiers": {name: _model(name, entry, load, state) for name, entry in VERIFIERS.items()},
        "strategies": {name: _strategy(strategy) for name, strategy in STRATEGIES.items()},
    }
    broken = {name: {"description": "plug-in", "ready": False, "reason": reason} for name, reason in BROKEN.items()}
    return table | ({"broken": broken} if broken else {})


def _model(name: str, entry: Entry, load: bool, state: bool) -> dict[str, Any]:
    if not (load or state):
        return {"description": entry.description, "fetch": fetched(entry)}
    found = told(name, entry)
    reason = found["reason"] or (failure(entry) if load else None)
    return found | {"ready": reason is None, "reason": reason}


def fetched(entry: Entry) -> str:
    """What has to be downloaded before, in a few words: size and licences."""
    if not entry.foreign:
        return ""
    packages = [package(one) for one in entry.needs.packages]
    sizes = [one.bytes for one in packages]
    size = "size unknown" if None in sizes else in_bytes(sum(sizes))
    gated = ", gated" * any(one.gated for one in packages)
    terms = {one.licence + ", **no commercial use**" * (one.commercial is False) for one in packages}
    return f"{size}; {', '.join(sorted(terms))}{gated}"


def _strategy(strategy: Strategy) -> dict[str, Any]:
    reasons = {name: unsupported(strategy.name, name, entry.abilities) for name, entry in GENERATORS.items()}
    return {
        "description": strategy.description,
        "source": inspect.getdoc(strategy.run),
        "params": {param.name: {"default": param.default, "allowed": param.allowed} for param in strategy.params},
        "not_for": {name: reason for name, reason in reasons.items() if reason},
    }


def markdown(table: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Three tables."""
    return "\n".join(_lines(table)) + "\n"


def _lines(table: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[str]:
    for kind in ("generators", "verifiers"):
        yield from (f"| {kind.removesuffix('s')} | what it is | to download |", "|---|---|---|")
        yield from (f"| `{name}` | {model['description']} | {model['fetch']} |" for name, model in table[kind].items())
        yield ""
    yield from ("| strategy | what it does | parameters (default) | not for |", "|---|---|---|---|")
    for name, row in table["strategies"].items():
        params = ", ".join(f"`{param}` ({_shown(facts['default'])})" for param, facts in row["params"].items())
        yield f"| `{name}` | {row['description']} | {params} | {_refused(row['not_for'], table['generators'])} |"


def _refused(names: Collection[str], generators: Iterable[str]) -> str:
    """All of them, or the few others."""
    refused, others = list(names), [name for name in generators if name not in names]
    if len(refused) > len(others):
        return "all but " + ", ".join(f"`{name}`" for name in others)
    return ", ".join(f"`{name}`" for name in refused)


def _shown(default: Any) -> str:
    return "off" if default is None else str(default)
