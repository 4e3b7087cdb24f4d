"""From the values of the page's controls to a comparison that can run, or a sentence that says why it cannot.

Nothing that comes from a browser is trusted: types, ranges and names are checked here, whatever the controls allow.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.compare import rival
from core.search.budget import Cost
from core.search.errors import BadRequest, PromptOutOfWorld
from core.search.events import RunSpec
from core.search.sizing import estimate, fit
from core.search.strategies.registry import STRATEGIES, get_strategy
from demo import strings
from demo.models import Models

MAX_PROMPT = 300  # characters
MAX_SEED = 2**31 - 1
GIGA = 1e9


@dataclass(frozen=True)
class Plan:
    """A comparison of known cost: the searcher's spec first, then, if there is one, the baseline's."""

    specs: tuple[RunSpec, ...]
    costs: tuple[Cost, ...]


def parameter_names() -> list[tuple[str, str]]:
    """(strategy, parameter) of every control, in the order of the page."""
    return [(name, param.name) for name, strategy in STRATEGIES.items() for param in strategy.params]


def read(models: Models, prompt: Any, strategy: Any, verifier: Any, gflop: Any, seed: Any, values: tuple) -> RunSpec:
    """The searcher's spec. `values` are the values of all parameter controls. Raises BadRequest."""
    strategy, verifier = str(strategy), str(verifier)
    get_strategy(strategy)
    if verifier not in models.verifiers:
        raise BadRequest(f"unknown verifier {verifier!r}: choose one of {', '.join(models.verifiers)}")
    return RunSpec(
        prompt=read_prompt(prompt),
        generator=models.searcher,
        strategy=strategy,
        params=_params(strategy, values),
        verifier=verifier,
        observers=tuple(name for name in models.verifiers if name != verifier),
        seed=int(_number("seed", seed, 0, MAX_SEED)),
        budget_flops=_number("budget", gflop, 0, models.max_gflop) * GIGA,
    )


def read_prompt(prompt: Any) -> str:
    """The prompt on one line. Raises BadRequest when it is empty or too long."""
    text = " ".join(str(prompt or "").split())
    if not text:
        raise BadRequest(strings.EMPTY_PROMPT)
    if len(text) > MAX_PROMPT:
        raise BadRequest(strings.PROMPT_TOO_LONG.format(length=len(text), limit=MAX_PROMPT))
    return text


def require_words(models: Models, prompt: str) -> None:
    """Raises PromptOutOfWorld when the models know no word of the prompt."""
    found = models.check(prompt) if models.check else None
    if found is not None and not found.known:
        raise PromptOutOfWorld(" ".join([strings.NO_KNOWN_WORD, *(f"{note.capitalize()}." for note in found.notes)]))


def _number(name: str, value: Any, low: float, high: float) -> float:
    real = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not real or not low <= value <= high:
        raise BadRequest(f"The {name} {value!r} is not possible: it is a number from {low:g} to {high:g}.")
    return value


def _params(strategy: str, values: tuple) -> dict[str, Any]:
    given = dict(zip(parameter_names(), values, strict=True))
    return {name: _whole(value) for (owner, name), value in given.items() if owner == strategy}


def _whole(value: Any) -> Any:
    """Sliders may send 3.0 for 3."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def plan(models: Models, spec: RunSpec) -> Plan:
    """Price a spec and size the baseline to the same total FLOPs. Raises BadRequest when the budget is too small.

    Both lanes observe with every verifier, but only what guides is part of the matched compute.
    """
    verifiers = models.all_verifiers()
    generator = models.generator(spec.generator)
    spec = fit(spec, generator, verifiers)
    cost = estimate(spec, generator, verifiers)
    if models.baseline is None:
        return Plan((spec,), (cost,))
    baseline = models.generator(models.baseline)
    try:
        other = fit(rival(spec, cost.flops, models.baseline), baseline, verifiers)
    except BadRequest:  # not one image of the baseline is as cheap
        return Plan((spec,), (cost,))
    return Plan((spec, other), (cost, estimate(other, baseline, verifiers, display=False)))


def method(strategy: str, params: Mapping[str, Any]) -> str:
    """A strategy and its parameters in a few words: "Beam search, width 3, branch 5, look preview"."""
    return ", ".join([strings.name_of(strings.STRATEGY_NAMES, strategy), *(f"{k} {v}" for k, v in params.items())])


def control_values(spec: RunSpec) -> list[Any]:
    """The controls' values that give this spec: prompt, strategy, verifier, budget, seed, then all parameters.

    Parameters of other strategies show their defaults.
    """
    defaults = {(name, param.name): param.default for name, strategy in STRATEGIES.items() for param in strategy.params}
    given = {(spec.strategy, name): value for name, value in spec.params.items()}
    gflop = spec.budget_flops / GIGA if spec.budget_flops else None
    return [spec.prompt, spec.strategy, spec.verifier, gflop, spec.seed, *(defaults | given).values()]


def describe(plan: Plan) -> list[list[tuple[str, str]]]:
    """The predicted compute of a plan as lines of (kind, text) parts."""
    cost, limit = plan.costs[0], plan.specs[0].budget_flops / GIGA
    work = f"{cost.nfe} forward passes, {cost.verifier_calls} images scored"
    said = [[
        ("plain", "Predicted: "), ("strong", _gflop(cost)), ("plain", f" of {limit:g}, {work}."),
    ]]  # fmt: skip
    if len(plan.specs) == 1:
        said.append([("plain", "That is too little for one diffusion image: nothing runs beside it.")])
    else:
        images = plan.specs[1].params["n"]
        said.append([("plain", "The diffusion run gets the same: "), ("strong", f"{images} image{'s' * (images != 1)}"),
                     ("plain", f", {_gflop(plan.costs[1])}.")])  # fmt: skip
    return said


def _gflop(cost: Cost) -> str:
    value = cost.flops / GIGA
    return f"{value:.0f} GFLOP" if value >= 100 else f"{value:.3g} GFLOP"
