"""Whether a log is one that a search could have written. What comes from elsewhere passes here before it is kept.

Three things are asked of every event: that it has exactly the fields and types that its class says; that every node it
names was there before; and that the tree can take it. So whatever reads a stored log need not doubt it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from core.search import events as ev
from core.search.checks import check_spec
from core.search.errors import BeamscopeError
from core.search.strategies.registry import checked_params
from core.search.tree import Tree

MAX_EVENTS, MAX_NODES, MAX_STEPS = 20_000, 20_000, 512
MAX_TEXT = 10_000                # characters of any text but a state
MAX_STATE = 2**20                # characters of a frozen state
LARGEST = 2.0**1000              # of numbers: their sums stay finite
UNFIT = (BeamscopeError, ArithmeticError, LookupError, ValueError, TypeError, AttributeError)   # what bad data raises
RUN_ID = re.compile(r"[a-z0-9-]{8,40}")


class BadLog(ValueError):
    """The log is damaged or was made up; says where."""


def checked_log(lines: Iterable[bytes]) -> list[ev.Event]:
    """The events of a log, one JSON object a line. Raises BadLog at the first that no search would have written."""
    tree, events = Tree(), []
    for number, line in enumerate(lines):
        if number >= MAX_EVENTS:
            raise BadLog(f"it has more than {MAX_EVENTS} events")
        try:
            event = _event(line)
            _check_order(event, number, tree)
            _check_nodes(event, tree)
            tree = tree.apply(event)
        except BadLog as error:
            raise BadLog(f"event {number}: {error}") from None
        except (*UNFIT, RecursionError) as error:
            raise BadLog(f"event {number}: {type(error).__name__} {str(error)[:200]}") from None
        events.append(event)
    if not events:
        raise BadLog("it has no events")
    return events


def checked_spec(data: Any) -> ev.RunSpec:
    """The spec that `RunSpec.to_json` wrote. Raises BadLog unless a search could have had it."""
    try:
        spec = ev.RunSpec.from_json(data)
        _check(spec, ev.RunSpec, "spec")
        _check_spec(spec)
    except BadLog:
        raise
    except (*UNFIT, RecursionError) as error:
        raise BadLog(f"{type(error).__name__} {str(error)[:200]}") from None
    return spec


def _event(line: bytes) -> ev.Event:
    data = json.loads(line, parse_constant=_refused)
    if not isinstance(data, dict):
        raise BadLog("it is no JSON object")
    event = ev.from_json(data)
    known = {"v", "kind", *(f.name for f in fields(event))}
    if unknown := sorted(set(data) - known):
        raise BadLog(f"it has a field {unknown[0][:40]!r} that events of kind {event.kind} lack")
    _check_fields(event, event.kind)
    return event


def _refused(constant: str) -> float:
    raise BadLog(f"{constant} is no number")


# Types

def _check_fields(value: Any, where: str) -> None:
    for name, hint in _hints(type(value)).items():
        _check(getattr(value, name), hint, f"{where}.{name}")


@cache
def _hints(cls: type) -> dict[str, Any]:
    """The type of every field of a dataclass."""
    hints = get_type_hints(cls)
    return {f.name: hints[f.name] for f in fields(cls)}


def _check(value: Any, hint: Any, where: str) -> None:
    """Raises BadLog unless a value is what an annotation says."""
    if not _fits(value, hint, where):
        raise BadLog(f"{where} is {str(value)[:60]!r}, which no search writes there")


def _fits(value: Any, hint: Any, where: str) -> bool:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_tried(value, arg, where) for arg in args)
    if origin is Literal:
        return any(type(value) is type(arg) and value == arg for arg in args)
    if origin is tuple:
        return isinstance(value, tuple) and _all_fit(value, args[0], where)
    if origin in (dict, Mapping):
        keys, values = args
        return isinstance(value, dict) and _all_fit(value, keys, where) and _all_fit(value.values(), values, where)
    if is_dataclass(hint):
        if isinstance(value, hint):
            _check_fields(value, where)
            return True
        return False
    return _fits_scalar(value, hint, where)


def _all_fit(values: Iterable[Any], hint: Any, where: str) -> bool:
    for value in values:
        _check(value, hint, where)
    return True


def _tried(value: Any, hint: Any, where: str) -> bool:
    try:
        return _fits(value, hint, where)
    except BadLog:
        return False


def _fits_scalar(value: Any, hint: Any, where: str) -> bool:
    if hint is Any:   # a parameter's value, or the name of a picture
        return any(_fits_scalar(value, kind, where) for kind in (NoneType, bool, int, float, str))
    if hint in (NoneType, bool):
        return isinstance(value, hint)
    if hint is str:
        return isinstance(value, str) and len(value) <= (MAX_STATE if where.endswith(".state") else MAX_TEXT)
    if hint is int:
        return type(value) is int and abs(value) < 2**63
    if hint is float:
        return type(value) in (int, float) and math.isfinite(value) and abs(value) < LARGEST
    raise TypeError(f"{where}: no rule for {hint}")


# What an event may say of a tree so far

def _check_order(event: ev.Event, number: int, tree: Tree) -> None:
    if event.seq != number:
        raise BadLog(f"its number is {event.seq}")
    if isinstance(event, ev.Started) != (number == 0):
        raise BadLog("a log begins with its only started event")
    if tree.end is not None:
        raise BadLog(f"the run had {tree.end.kind} before")
    if isinstance(event, ev.Started):
        _check_start(event)


def _check_start(event: ev.Started) -> None:
    if not 1 <= event.num_steps <= MAX_STEPS or len(event.step_labels) != event.num_steps:
        raise BadLog(f"{event.num_steps} steps with {len(event.step_labels)} labels")
    _check_spec(event.spec, event.num_steps)


def _check_spec(spec: ev.RunSpec, num_steps: int | None = None) -> None:
    check_spec(spec, num_steps)
    checked_params(spec.strategy, spec.params)
    if spec.origin and not RUN_ID.fullmatch(spec.origin.run):
        raise BadLog(f"{spec.origin.run[:60]!r} is no run")


def _check_nodes(event: ev.Event, tree: Tree) -> None:
    if isinstance(event, ev.Expanded):
        _check_births(event, tree)
    for node in _named(event):
        if node not in tree.nodes:
            raise BadLog(f"there is no node {node}")
    if isinstance(event, ev.WithImages):
        _check_images(event)
    if isinstance(event, ev.Pruned):
        _check_choice(event, tree)
    if isinstance(event, ev.Asked):
        _check_question(event, tree)
    if isinstance(event, ev.Shrunk):
        checked_params(tree.spec.strategy, {**tree.spec.params, **event.params})
        if not 0 <= event.step <= tree.num_steps:
            raise BadLog(f"there is no step {event.step}")
    if isinstance(event, ev.Improved | ev.Judged | ev.Picked) and not _is_finished(event, tree):
        raise BadLog(f"node {event.node} has no finished image")


def _check_births(event: ev.Expanded, tree: Tree) -> None:
    for id, node in enumerate(event.nodes, start=len(tree.nodes)):
        if id >= MAX_NODES:
            raise BadLog(f"it has more than {MAX_NODES} nodes")
        if node.id != id or (node.parent is None) != (id == 0) or (id and node.parent not in tree.nodes):
            raise BadLog(f"node {node.id} of parent {node.parent} cannot come after node {id - 1}")
        if node.step != event.step or not 0 <= node.step <= tree.num_steps or not 0 <= node.index < MAX_NODES:
            raise BadLog(f"node {node.id} cannot be child {node.index} at step {node.step}")


def _named(event: ev.Event) -> Iterator[int]:
    """Every node that an event speaks of: they are the keys of tables by number, or whole rows of numbers."""
    for name, hint in _hints(type(event)).items():
        value = getattr(event, name)
        if get_origin(hint) is dict and get_args(hint)[0] is int or hint == tuple[int, ...]:
            yield from value
    node = getattr(event, "node", None)
    if node is not None:
        yield node


def _check_images(event: ev.WithImages) -> None:
    for node, name in event.images.items():
        if name != ev.image_ref(node, event.image_kind):
            raise BadLog(f"the picture of node {node} is called {str(name)[:60]!r}")


def _check_choice(event: ev.Pruned, tree: Tree) -> None:
    ranked = set(event.ranks)
    if sorted(event.ranks.values()) != list(range(len(ranked))) or not ranked:
        raise BadLog("the ranks are no ranking")
    if not set(event.kept) <= ranked or len(set(event.kept)) != len(event.kept) or not set(event.copies) <= ranked:
        raise BadLog("it keeps nodes that were not candidates")
    if not set(event.marks) <= ranked or not set(event.marks.values()) <= {"pin", "forbid"}:
        raise BadLog("it marks what no person could have marked")
    if not 1 <= event.step <= tree.num_steps:
        raise BadLog(f"there is no step {event.step}")


def _check_question(event: ev.Asked, tree: Tree) -> None:
    if not 1 <= event.step <= tree.num_steps or not 1 <= event.keep <= len(event.candidates):
        raise BadLog(f"it asks to keep {event.keep} of {len(event.candidates)} candidates at step {event.step}")


def _is_finished(event: ev.Improved | ev.Judged | ev.Picked, tree: Tree) -> bool:
    return isinstance(event, ev.WithImages) and event.node in event.images or tree.nodes[event.node].has_final

