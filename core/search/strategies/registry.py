"""The strategies by name, ours and those of other packages, and the checks that need no model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from core.search.errors import BadRequest, UnsupportedStrategy
from core.search.plugins import load_plugins
from core.search.schema import Param, checked_look, params_of
from core.search.strategies.adaptive_beam import adaptive_beam
from core.search.strategies.ar_then_flow import ar_then_flow
from core.search.strategies.backtracking_search import backtracking_search
from core.search.strategies.beam_search import beam_search
from core.search.strategies.diverse_beam import diverse_beam
from core.search.strategies.fk_steering import fk_steering
from core.search.strategies.greedy_tokens import greedy_tokens
from core.search.strategies.random_search import random_search
from core.search.strategies.resampling_search import resampling_search
from core.search.strategies.search_over_paths import search_over_paths
from core.search.strategies.zero_order import zero_order

MAX_CANDIDATES = 256   # at one step


@dataclass(frozen=True)
class Ability:
    """Something that not every generator can do, in the words of a refusal."""

    use: str       # what a strategy does with it
    lack: str      # how a generator is without it
    having: str    # generators that have it


ABILITIES = {
    "branches": Ability("chooses between candidates at every step", "branches only at the first",
                        "a generator that draws at every step, such as emoji-ar, infinity-125m or one with -sde"),
    "signature": Ability("tells candidates apart by their signatures", "gives none",
                         "a generator that gives them, such as emoji-ar or infinity-125m"),
    "renoise": Ability("carries images back to an earlier noise level", "has no noise levels",
                       "a diffusion model, such as emoji-flow or flux-schnell"),
    "neighbours": Ability("varies the first noise of an image", "does not start from noise",
                          "a diffusion model, such as emoji-flow or flux-schnell"),
    "handover": Ability("hands coarse scales over to a diffusion model", "is one model from end to end",
                        "a generator of both, such as emoji-ar-flow"),
}


@dataclass(frozen=True)
class Strategy:
    run: Callable[..., Any]                # run(search, **params) yields events
    dials: tuple[str, ...] = ()            # parameters that size it to a budget, the first one first
    crowd: tuple[str, ...] | None = None   # parameters that multiply to the candidates of a step; None: the dials
    needs: frozenset[str] = frozenset()    # of ABILITIES
    from_prompt: bool = False              # has to begin at the bare prompt: cannot go on from a node
    adaptive: bool = False                 # what it costs depends on what the verifier says

    @property
    def name(self) -> str:
        return self.run.__name__

    @property
    def description(self) -> str:
        return self.run.__doc__.partition("\n")[0]

    @property
    def params(self) -> tuple[Param, ...]:
        return params_of(self.run)

    def candidates(self, params: Mapping[str, Any], but: str = "") -> dict[str, int]:
        """The sizes that multiply to the candidates of a step, `but` one."""
        crowd = self.dials if self.crowd is None else self.crowd
        return {name: params[name] for name in crowd if name != but}


RESERVED = {
    "prompt", "run", "node", "generator", "strategy", "verifier", "judge", "finalists", "observers", "baseline", "seed",
    "choose", "budget", "memory", "out", "json", "help", "command",
}   # options of the command line
BRANCHES = frozenset({"branches"})
OURS = (
    Strategy(random_search, dials=("n",)),
    Strategy(greedy_tokens, dials=("branch",), needs=BRANCHES),
    Strategy(beam_search, dials=("width", "branch"), needs=BRANCHES),
    Strategy(adaptive_beam, dials=("width", "branch"), needs=BRANCHES, adaptive=True),
    Strategy(diverse_beam, dials=("width", "branch"), needs=BRANCHES | {"signature"}),
    Strategy(resampling_search, dials=("particles", "widen"), needs=BRANCHES | {"signature"}),
    Strategy(backtracking_search, dials=("visits", "branch"), crowd=("branch",), needs=BRANCHES, adaptive=True),
    Strategy(
        zero_order, dials=("rounds", "neighbours"), crowd=("neighbours",), needs=frozenset({"neighbours"}),
        from_prompt=True,
    ),
    Strategy(search_over_paths, dials=("paths", "branch"), needs=frozenset({"renoise"})),
    Strategy(fk_steering, dials=("particles",), needs=BRANCHES),
    Strategy(
        ar_then_flow, dials=("width", "branch", "draws"), crowd=("width", "branch"), needs=frozenset({"handover"}),
    ),
)


def _as_strategy(plugin: Any) -> Strategy:
    """A plug-in is a Strategy, or a function that branches at every step."""
    strategy = plugin if isinstance(plugin, Strategy) else Strategy(plugin, needs=BRANCHES)
    if not strategy.run.__doc__:
        raise TypeError(f"strategy {strategy.name} needs a docstring: its first line is shown to people")
    if reserved := RESERVED & {param.name for param in strategy.params}:
        raise TypeError(f"parameter {', '.join(sorted(reserved))} of strategy {strategy.name} is the name of an option")
    names = {param.name for param in strategy.params}
    unknown = (strategy.needs - set(ABILITIES)) | ({*strategy.dials, *(strategy.crowd or ())} - names)
    if unknown:
        raise TypeError(f"strategy {strategy.name} names {', '.join(sorted(unknown))}, which there is not")
    return strategy


STRATEGIES: dict[str, Strategy] = {strategy.name: strategy for strategy in OURS}
STRATEGIES |= load_plugins("strategies", _as_strategy, taken=STRATEGIES)


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
    for key, param in known.items():
        if param.is_look:
            checked_look(full[key], num_steps)
    _check_candidates(name, full)
    return full


def _check_candidates(name: str, params: Mapping[str, Any]) -> None:
    sizes = get_strategy(name).candidates(params)
    count = math.prod(sizes.values())
    if count > MAX_CANDIDATES:
        product = " x ".join(f"{size} {value}" for size, value in sizes.items())
        raise BadRequest(f"{product} makes {count} candidates a step: at most {MAX_CANDIDATES} are allowed")


def unsupported(name: str, generator: str, abilities: Set[str]) -> str | None:
    """Why the strategy cannot run on a generator of these abilities, in a sentence for people; None if it can."""
    missing = sorted(get_strategy(name).needs - abilities)
    if not missing:
        return None
    ability = ABILITIES[missing[0]]
    return f"{name} {ability.use}, but {generator} {ability.lack}: use random_search, or {ability.having}"


def require_abilities(name: str, generator: str, abilities: Set[str]) -> None:
    """Raises UnsupportedStrategy with that sentence."""
    reason = unsupported(name, generator, abilities)
    if reason:
        raise UnsupportedStrategy(reason)


def require_continues(name: str) -> None:
    """Raises UnsupportedStrategy if the strategy cannot go on from a node of an earlier run."""
    if get_strategy(name).from_prompt:
        able = ", ".join(other for other, strategy in STRATEGIES.items() if not strategy.from_prompt)
        raise UnsupportedStrategy(f"{name} begins with the bare prompt and cannot go on from a node: use {able}")
