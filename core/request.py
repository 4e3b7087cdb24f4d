"""From what a person asked for to a run that can start, or the sentence that says why it cannot.

Cheap checks come first: nothing is loaded for a request that cannot be met.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from core.compare import rival
from core.generators.registry import GENERATORS, load_generator
from core.packages.readiness import require
from core.registry import pick
from core.search.budget import Cost
from core.search.checks import check_spec
from core.search.errors import BadRequest, PromptOutOfWorld
from core.search.events import RunSpec
from core.search.guide import Guide
from core.search.scoring import named
from core.search.sizing import Speeds, estimate, fit
from core.search.strategies.registry import checked_params, require_abilities
from core.speed import speeds
from core.verifiers.registry import VERIFIERS, load_verifier

QUOTED = 80   # characters of a prompt in a sentence


@dataclass(frozen=True)
class Prepared:
    """A run ready to start: all parameters set, models loaded, cost known."""

    spec: RunSpec
    generator: Any
    verifiers: Mapping[str, Any]
    cost: Cost     # the most that it will spend; seconds where it was timed


def check(spec: RunSpec) -> None:
    """All that can be said against a request without a model. Raises BadRequest, UnsupportedStrategy,
    WeightsMissing or PromptOutOfWorld. `spec.params` holds only what was asked for."""
    check_spec(spec)
    generator = pick("generator", GENERATORS, spec.generator)
    verifiers = {name: pick("verifier", VERIFIERS, name) for name in named(spec)}
    checked_params(spec.strategy, spec.params)
    require_abilities(spec.strategy, spec.generator, generator.abilities)
    require_sight(spec.generator, verifiers)
    for name, entry in {spec.generator: generator, **verifiers}.items():
        require(name, entry)
    if spec.generator.startswith("emoji-"):
        _check_words(spec.prompt)


def require_sight(generator: str, verifiers: Iterable[str]) -> None:
    """Raises BadRequest where a verifier of the embedded world would be shown the pictures of a real model."""
    blind = [name for name in verifiers if VERIFIERS[name].native]
    if GENERATORS[generator].foreign and blind:
        able = ", ".join(name for name, entry in VERIFIERS.items() if not entry.native)
        raise BadRequest(f"{', '.join(blind)} of the embedded world cannot score what {generator} makes: choose {able}")


def _check_words(prompt: str) -> None:
    from core.world.captions import check as check_caption

    words = check_caption(prompt)
    if not words.known:
        quoted = repr(prompt if len(prompt) <= QUOTED else f"{prompt[:QUOTED]}...")
        raise PromptOutOfWorld(f"the embedded world knows no word of {quoted}: {'; '.join(words.notes)}")


def prepare(spec: RunSpec, timed: bool = False) -> Prepared:
    """Check, load and size a request. Raises as `check`, `fit` and the loaders do.

    Where its budget is one of seconds, or if it is to be `timed`, the models are tried out to know their speed.
    """
    check(spec)
    generator = load_generator(spec.generator)
    verifiers = {name: load_verifier(name) for name in named(spec)}
    found = _speeds(spec, generator, verifiers) if timed or spec.budget_seconds else None
    spec = fit(spec, generator, verifiers, found)
    return Prepared(spec, generator, verifiers, estimate(spec, generator, verifiers, speeds=found))


def _speeds(spec: RunSpec, generator: Any, verifiers: Mapping[str, Any]) -> Speeds | None:
    guides = {name: verifiers[name] for name in Guide.parse(spec.verifier).members}
    return speeds(generator, guides, spec.prompt)


def prepare_pair(spec: RunSpec, baseline: str) -> tuple[Prepared, Prepared]:
    """The request, and best of n on `baseline` with the FLOPs that the request will spend.

    Where not even one image of the baseline fits into these, it may use all of the budget.
    """
    check(rival(spec, 1.0, baseline))
    first = prepare(spec)
    try:
        return first, prepare(rival(spec, first.cost.flops, baseline))
    except BadRequest:
        if spec.budget_flops is None:
            raise
        return first, prepare(rival(spec, spec.budget_flops, baseline))
