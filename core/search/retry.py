"""A run that memory was too small for: the smaller one to try instead, and what is told. Knows no models."""

from __future__ import annotations

import re

from core.search.events import RunSpec
from core.search.strategies.registry import STRATEGIES, checked_params, get_strategy
from core.search.tree import Tree


def smaller(spec: RunSpec) -> tuple[str, int] | None:
    """The parameter to turn down, and to what: about half the width, or, where that is 1, half the candidates.

    None for a search that cannot be made smaller, or whose strategy is not here.
    """
    if spec.strategy not in STRATEGIES:
        return None
    strategy = get_strategy(spec.strategy)
    params = checked_params(spec.strategy, spec.params)
    lowest = {param.name: int(param.range.low) for param in strategy.params if param.range}
    for name, value in strategy.candidates(params).items():
        if value > lowest[name]:
            return name, max(lowest[name], (value + 1) // 2)
    return None


def narrowed(tree: Tree, step: int, less: tuple[str, int]) -> str:
    """What is told of a run that begins anew and smaller."""
    name, value = less
    return f"out of memory {at(tree.label(step))}: the search begins anew with {name} {value}"


def halved(tree: Tree, step: int, size: int) -> str:
    """What is told where a call held too much; which results come of it does not change."""
    return f"out of memory {at(tree.label(step))} with {size} at a time: fewer at a time from here on"


def out_of_memory(tree: Tree, step: int, hopeless: bool = False) -> str:
    """What is told of a run that ended so. hopeless: a smaller one would end there, too."""
    less = None if hopeless else smaller(tree.spec_now)
    advice = f"search again with {less[0]} {less[1]}" if less else "free some memory and search again"
    return f"out of memory {at(tree.label(step))}; the tree so far is kept: {advice}"


def at(label: str) -> str:
    """A step by its label: "at scale 3x3", or "at t=.95" where steps are times."""
    return f"at scale {label}" if re.fullmatch(r"\d+x\d+", label) else f"at {label}"
