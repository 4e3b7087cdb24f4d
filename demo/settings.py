"""From the values of the page's controls to a comparison that can run, or a sentence that says why it cannot.

Nothing that comes from a browser is trusted: types, ranges and names are checked here, whatever the controls allow.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.compare import rival
from core.search.budget import Cost
from core.search.checks import MAX_FINALISTS
from core.search.errors import BadRequest, PromptOutOfWorld
from core.search.events import RunSpec
from core.search.guide import Guide
from core.search.schema import Param, parse_value
from core.search.sizing import estimate, fit
from core.search.states import SEEDS
from core.search.strategies.registry import STRATEGIES, checked_params, get_strategy, require_abilities, unsupported
from core.speed import speeds
from demo import strings
from demo.models import Models

MAX_PROMPT = 300  # characters
JOINER = "\u200d"  # holds the parts of an emoji together; other invisible signs turn text around or end it
QUOTED = 60  # characters of a wrong value in a sentence
GIGA = 1e9
# Controls of every strategy.
FIXED = ("prompt", "model", "strategy", "verifier", "judge", "finalists", "gflop", "seed", "chooser")
NO_BASELINE, BASELINE = "off", "random_search"


@dataclass(frozen=True)
class Plan:
    """A comparison of known cost: the searcher's spec first, then, if there is one, the baseline's."""

    specs: tuple[RunSpec, ...]
    costs: tuple[Cost, ...]


def parameter_names() -> list[tuple[str, str]]:
    """(strategy, parameter) of every control, in the order of the page."""
    return [(name, param.name) for name, strategy in STRATEGIES.items() for param in strategy.params]


def read(models: Models, values: Sequence[Any]) -> RunSpec:
    """The searcher's spec from the values of all controls: FIXED, then all parameters.

    Raises BadRequest, WeightsMissing where a model is not ready, or UnsupportedStrategy where the strategy does not
    work on the model. Loads nothing.
    """
    fixed = dict(zip(FIXED, values, strict=False))
    get_strategy(str(fixed["strategy"]))
    return spec_of(models, fixed, _params(str(fixed["strategy"]), values[len(FIXED):]))


def spec_of(models: Models, fixed: Mapping[str, Any], params: Mapping[str, Any]) -> RunSpec:
    """The searcher's spec from what FIXED names and the parameters of its strategy. Raises as `read`."""
    model, strategy = str(fixed["model"]), str(fixed["strategy"])
    get_strategy(strategy)
    require_abilities(strategy, model, models.abilities(model))
    models.require("generator", model)
    guide, judge = _verifiers(models, fixed["verifier"], fixed["judge"])
    models.require_sight(model, (*guide.members, *([judge] if judge else [])))
    return RunSpec(
        prompt=read_prompt(fixed["prompt"]),
        generator=model,
        strategy=strategy,
        params=checked_params(strategy, params),
        verifier=guide.name,
        observers=models.observers(model, others=(*guide.members, judge)),
        seed=_seed(fixed["seed"]),
        budget_flops=_number("budget", fixed["gflop"], 0, models.most_gflop(model)) * GIGA,
        judge=judge,
        finalists=int(_number("number of finalists", fixed["finalists"], 1, MAX_FINALISTS)),
        chooser=_chooser(fixed["chooser"]),
    )


def _chooser(value: Any) -> str:
    """As the spec or the switch on the page says it."""
    said = {True: "person", False: "verifier", "person": "person", "verifier": "verifier"}
    if not isinstance(value, bool | str) or value not in said:
        raise BadRequest(f"The chooser {_short(value)} is not possible: it is verifier or person.")
    return said[value]


def _short(value: Any) -> str:
    """What was sent, as a sentence can hold it."""
    text = repr(value)
    return text if len(text) <= QUOTED else f"{text[:QUOTED]}…"


def _verifiers(models: Models, guide: Any, judge: Any) -> tuple[Guide, str | None]:
    """Who guides and who judges in the end. Raises BadRequest, WeightsMissing."""
    parsed, judge = Guide.parse(str(guide)), str(judge) if judge else None
    for name in (*parsed.members, *([judge] if judge else [])):
        models.require("verifier", name)
        if name in models.broken:
            raise BadRequest(f"verifier {name} is not ready: {models.broken[name]}")
    return parsed, judge


def members(guide: str) -> tuple[str, ...]:
    """The verifiers that a guide is made of. Raises BadRequest."""
    return Guide.parse(guide).members


def read_prompt(prompt: Any) -> str:
    """The prompt on one line, without what cannot be seen. Raises BadRequest when it is empty or too long."""
    words = " ".join(prompt.split()) if isinstance(prompt, str) else ""
    text = "".join(sign for sign in words if sign.isprintable() or sign == JOINER).strip()
    if not text:
        raise BadRequest(strings.EMPTY_PROMPT)
    if len(text) > MAX_PROMPT:
        raise BadRequest(strings.PROMPT_TOO_LONG.format(length=len(text), limit=MAX_PROMPT))
    return text


def require_words(models: Models, spec: RunSpec) -> None:
    """Raises PromptOutOfWorld when the model knows no word of the prompt."""
    found = models.known_words(spec.generator, spec.prompt)
    if found is not None and not found.known:
        raise PromptOutOfWorld(" ".join([strings.NO_KNOWN_WORD, *(f"{note.capitalize()}." for note in found.notes)]))


def _seed(value: Any) -> int:
    """A seed as it was typed: a browser's numbers are too short for all of them."""
    digits = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not re.fullmatch(r"[0-9]{1,19}", digits) or int(digits) >= SEEDS:
        raise BadRequest(f"The seed {_short(value)} is not possible: it is a whole number from 0 to {SEEDS - 1}.")
    return int(digits)


def _number(name: str, value: Any, low: float, high: float) -> float:
    real = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not real or not low <= value <= high:
        raise BadRequest(f"The {name} {_short(value)} is not possible: it is a number from {low:g} to {high:g}.")
    return value


def _params(strategy: str, values: Sequence[Any]) -> dict[str, Any]:
    given = dict(zip(parameter_names(), values, strict=True))
    return {param.name: _sent(param, given[strategy, param.name]) for param in get_strategy(strategy).params}


def _sent(param: Param, value: Any) -> Any:
    """A parameter as its control sends it: one that may be off is typed, and empty when it is off."""
    if param.optional and isinstance(value, str):
        return parse_value(value.strip()) if value.strip() else None
    return _whole(value)


def _whole(value: Any) -> Any:
    """Sliders may send 3.0 for 3."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def baselines(models: Models) -> dict[str, str]:
    """What can run beside a search: strategies, the usual one first, each with the generator that runs it; then best
    of n on every model of others, "random_search@flux-dev"."""
    others = [name for name, entry in models.generators.items() if entry.foreign and not name.endswith("-sde")]
    return _own_baselines(models) | {f"{BASELINE}@{name}": name for name in others}


def baseline_of(models: Models, spec: RunSpec | None) -> str:
    """As `baselines` calls what a run beside another does; "off" for none."""
    if spec is None:
        return NO_BASELINE
    named = f"{spec.strategy}@{spec.generator}"
    return named if named in baselines(models) else spec.strategy


def _own_baselines(models: Models) -> dict[str, str]:
    if models.baseline is None:
        return {}
    kin = [models.baseline, *(name for name in models.generators if name.startswith(f"{models.baseline}-"))]
    able = {
        strategy: next((name for name in kin if unsupported(strategy, name, models.abilities(name)) is None), None)
        for strategy in (BASELINE, *STRATEGIES)
    }
    return {strategy: generator for strategy, generator in able.items() if generator}


def read_baseline(models: Models, value: Any) -> str:
    """Raises BadRequest for what cannot run beside a search, WeightsMissing where its model is not ready."""
    allowed = [NO_BASELINE, *baselines(models)]
    if not isinstance(value, str) or value not in allowed:
        raise BadRequest(f"The baseline {_short(value)} is not possible: it is {', '.join(allowed)}.")
    if "@" in value:
        models.require("generator", baselines(models)[value])
    return value


def plan(models: Models, spec: RunSpec, baseline: str = BASELINE) -> Plan:
    """Price a spec and size the baseline to the same total FLOPs. Raises BadRequest when the budget is too small.

    baseline: the strategy that runs beside it, "off" for none. Both lanes observe with every verifier, but only what
    guides is part of the matched compute. Models of others run beside each other only, and beside a model of another
    world than the baseline's runs nothing: the two would not be made for the same prompts.
    """
    verifiers = models.verifiers_of(spec)
    generator = models.generator(spec.generator)
    spec = fit(spec, generator, verifiers)
    cost = _priced(models, spec, generator, verifiers)
    beside = baselines(models).get(baseline)
    if beside is None or not _comparable(models, spec.generator, beside):
        return Plan((spec,), (cost,))
    other = models.generator(beside)
    try:
        against = fit(rival(spec, cost.flops, beside, baseline.partition("@")[0]), other, verifiers)
    except BadRequest:  # not one image of the baseline is as cheap
        return Plan((spec,), (cost,))
    return Plan((spec, against), (cost, _priced(models, against, other, verifiers)))


def _comparable(models: Models, searcher: str, beside: str) -> bool:
    foreign = [models.generators[name].foreign for name in (searcher, beside)]
    return all(foreign) or not any(foreign) and models.in_world(searcher)


def _priced(models: Models, spec: RunSpec, generator: Any, verifiers: Mapping[str, Any]) -> Cost:
    """What a run will cost, in seconds of this machine too."""
    pace = speeds(generator, verifiers, models.examples[0] if models.examples else spec.prompt)
    return estimate(spec, generator, verifiers, speeds=pace)


def method(spec: RunSpec) -> str:
    """What searches, and how, in a few words: "AR, beam search, width 3, branch 5, look preview"."""
    model = strings.name_of(strings.GENERATOR_NAMES, spec.generator)
    strategy = strings.name_of(strings.STRATEGY_NAMES, spec.strategy)
    settings = [f"{name.replace('_', ' ')} {_written(value)}" for name, value in spec.params.items()]
    return " · ".join([model, ", ".join([strategy, *settings])])


def _written(value: Any) -> str:
    return strings.OFF if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def control_values(spec: RunSpec) -> list[Any]:
    """The controls' values that give this spec: FIXED, then all parameters.

    Parameters of other strategies show their defaults.
    """
    defaults = {(name, param.name): param.default for name, strategy in STRATEGIES.items() for param in strategy.params}
    given = {(spec.strategy, name): value for name, value in spec.params.items()}
    fixed = {
        "prompt": spec.prompt, "model": spec.generator, "strategy": spec.strategy, "verifier": spec.verifier,
        "judge": spec.judge or "", "finalists": spec.finalists, "seed": str(spec.seed),
        "chooser": spec.chooser == "person",
        "gflop": spec.budget_flops / GIGA if spec.budget_flops else None,
    }  # fmt: skip
    return [*(fixed[name] for name in FIXED), *(defaults | given).values()]


def describe(plan: Plan) -> list[list[tuple[str, str]]]:
    """The predicted compute of a plan as lines of (kind, text) parts."""
    spec, cost = plan.specs[0], plan.costs[0]
    work = f"{cost.nfe} forward passes, {cost.verifier_calls} images scored"
    said = [[
        ("plain", "Predicted: "), ("strong", _gflop(cost)),
        ("plain", f" of {spec.budget_flops / GIGA:g}, {work}{_took(plan)}."),
    ]]  # fmt: skip
    if spec.judge:
        judge = strings.guide_name(spec.judge)
        said.append([("plain", f"{judge} chooses among the {spec.finalists} best finished images.")])
    if len(plan.specs) == 1:
        said.append([("plain", strings.ALONE)])
    else:
        said.append([("plain", "The run beside it gets the same: "), ("strong", _size(plan.specs[1])),
                     ("plain", f", {_gflop(plan.costs[1])}.")])  # fmt: skip
    return said


def _size(spec: RunSpec) -> str:
    """How much the baseline does with its compute."""
    if spec.strategy == BASELINE:
        return f"{spec.params['n']} image{'s' * (spec.params['n'] != 1)}"
    strategy = get_strategy(spec.strategy)
    sizes = ", ".join(f"{name} {spec.params[name]}" for name in strategy.dials)
    return f"{strings.name_of(strings.STRATEGY_NAMES, spec.strategy).lower()}, {sizes}"


def _took(plan: Plan) -> str:
    """How long both runs will take together, where that is known."""
    seconds = sum(cost.seconds for cost in plan.costs)
    return f", about {seconds:.0f} s{' with the run beside it' * (len(plan.costs) - 1)}" if seconds >= 1 else ""


def _gflop(cost: Cost) -> str:
    value = cost.flops / GIGA
    return f"{value:.0f} GFLOP" if value >= 100 else f"{value:.3g} GFLOP"
