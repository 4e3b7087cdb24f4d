"""The strategies by name, and the checks that need no model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from core.search.errors import BadRequest, UnsupportedStrategy
from core.search.schema import Param, checked_look, params_of
from core.search.strategies.beam_search import beam_search
from core.search.strategies.greedy_tokens import greedy_tokens
from core.search.strategies.random_search import random_search

MAX_CANDIDATES = 256   # at one step, so that a batch fits into memory


@dataclass(frozen=True)
class Strategy:
    run: Callable[..., Any]      # run(search, **params) yields events
    dials: tuple[str, ...]       # parameters that size it to a budget, the first one first
    branches: bool               # lets a node have several children after the first step

    @property
    def name(self) -> str:
        return self.run.__name__

    @property
    def description(self) -> str:
        return self.run.__doc__.partition("\n")[0]

    @property
    def params(self) -> tuple[Param, ...]:
        return params_of(self.run)


STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        Strategy(random_search, dials=("n",), branches=False),
        Strategy(greedy_tokens, dials=("branch",), branches=True),
        Strategy(beam_search, dials=("width", "branch"), branches=True),
    )
}


def get_strategy(name: str) -> Strategy:
    if name not in STRATEGIES:
        raise BadRequest(f"unknown strategy {name!r}: choose one of {', '.join(STRATEGIES)}")
    return STRATEGIES[name]


def checked_params(name: str, params: Mapping[str, Any], num_steps: int | None = None) -> dict[str, Any]:
    """All parameters of the strategy, defaults filled in. Raises BadRequest on the first that is not allowed."""
    known = {param.name: param for param in get_strategy(name).params}
    for given in params:
        if given not in known:
            raise BadRequest(f"{name} takes no {given}: it takes {', '.join(known)}")
    full = {key: param.checked(params.get(key, param.default)) for key, param in known.items()}
    if "look" in full:
        checked_look(full["look"], num_steps)
    _check_candidates(full)
    return full


def _check_candidates(params: Mapping[str, Any]) -> None:
    sizes = {key: value for key, value in params.items() if isinstance(value, int) and key != "look"}
    count = math.prod(sizes.values())
    if count > MAX_CANDIDATES:
        product = " x ".join(f"{key} {value}" for key, value in sizes.items())
        raise BadRequest(f"{product} makes {count} candidates a step: at most {MAX_CANDIDATES} are allowed")


def unsupported(name: str, generator: str, branches: bool) -> str | None:
    """Why the strategy cannot run on a generator of which a seed matters after the first step or not, or None."""
    if branches or not get_strategy(name).branches:
        return None
    return (
        f"{name} chooses between candidates at every step, but {generator} branches only at the first: "
        f"use random_search, or a generator that draws at every step, such as emoji-ar or emoji-flow-sde"
    )


def require_branches(name: str, generator: str, branches: bool) -> None:
    reason = unsupported(name, generator, branches)
    if reason:
        raise UnsupportedStrategy(reason)
