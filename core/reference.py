"""All generators, verifiers and strategies, ours and plug-ins, as a table for people and programs."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from core.generators.registry import GENERATORS
from core.registry import Entry, readiness
from core.search.plugins import BROKEN
from core.search.strategies.registry import STRATEGIES, Strategy, unsupported
from core.verifiers.registry import VERIFIERS


def reference(load: bool) -> dict[str, dict[str, dict[str, Any]]]:
    """By kind, by name. `load` also tells which models are ready, and why one is not."""
    table = {
        "generators": {name: _model(entry, load) for name, entry in GENERATORS.items()},
        "verifiers": {name: _model(entry, load) for name, entry in VERIFIERS.items()},
        "strategies": {name: _strategy(strategy) for name, strategy in STRATEGIES.items()},
    }
    broken = {name: {"description": "plug-in", "ready": False, "reason": reason} for name, reason in BROKEN.items()}
    return table | ({"broken": broken} if broken else {})


def _model(entry: Entry, load: bool) -> dict[str, Any]:
    if not load:
        return {"description": entry.description}
    reason = readiness(entry)
    return {"description": entry.description, "ready": reason is None, "reason": reason}


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
        yield from (f"| {kind.removesuffix('s')} | what it is |", "|---|---|")
        yield from (f"| `{name}` | {row['description']} |" for name, row in table[kind].items())
        yield ""
    yield from ("| strategy | what it does | parameters (default) | not for |", "|---|---|---|---|")
    for name, row in table["strategies"].items():
        params = ", ".join(f"`{param}` ({_shown(facts['default'])})" for param, facts in row["params"].items())
        refused = ", ".join(f"`{generator}`" for generator in row["not_for"])
        yield f"| `{name}` | {row['description']} | {params} | {refused} |"


def _shown(default: Any) -> str:
    return "off" if default is None else str(default)
