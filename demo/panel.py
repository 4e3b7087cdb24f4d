"""The settings beside the stage: every control a search has, made from the signatures of the strategies.

It knows how controls look and which choices they offer; what they mean is read by demo/settings.py.
"""

import json
import logging
import math
from dataclasses import dataclass
from typing import Any

import gradio as gr

from core.packages.readiness import Readiness
from core.registry import pick
from core.search.checks import MAX_FINALISTS
from core.search.errors import BadRequest
from core.search.schema import Param
from core.search.strategies.registry import STRATEGIES, get_strategy, unsupported
from demo import settings, strings
from demo.component import Amount, Choice, Dial, Notice, line, lines
from demo.models import Models
from demo.settings import GIGA
from demo.words import sentence

log = logging.getLogger(__name__)
QUIET = {"show_progress": "hidden", "api_visibility": "private"}
INSTANT = {**QUIET, "queue": False, "trigger_mode": "always_last"}
FINEST = 1e-4  # step of a slider
DEFAULT_STRATEGY = "beam_search"
# Ends of sliders where the schema allows more: beyond them a tree is too large to be looked at, or nothing changes.
SLIDER_END = {
    "n": 128, "visits": 64, "particles": 32, "rounds": 32, "temper": 10,
    "width": 16, "branch": 16, "paths": 16, "neighbours": 16, "draws": 16, "per_ancestor": 16, "scales": 16,
    "start": 16, "jump": 16, "gain": 16, "every": 16,
}  # fmt: skip
WIDEST = 20  # span of a slider with fractions; of a larger one the steps are too coarse, and the number is typed
FRACTIONS = 50  # that a slider with fractions has at least
PRESETS = {"quick": (0.4, 2, 3), "standard": (1.0, 3, 5), "deep": (4.0, 6, 8)}  # share of the budget, width, branch
ROLL = "() => String(Math.floor(Math.random() * 1e9))"
CHANGED = """() => { if (/[?&]run=/.test(location.search)) document.querySelector("#bs-search").dataset.note = %s; }"""


@dataclass(frozen=True)
class Panel:
    """controls: as in settings.FIXED without the prompt, then all parameters. The others are no part of the spec."""

    controls: list[gr.components.Component]
    baseline: Choice
    private: gr.Checkbox
    lock: gr.Checkbox
    estimate: Notice

    @property
    def model(self) -> Choice:
        return self.controls[0]

    @property
    def seed(self) -> gr.Textbox:
        return self.controls[settings.FIXED.index("seed") - 1]


def make_panel(models: Models) -> Panel:
    """All controls, wired to one another."""
    with gr.Accordion("Settings", open=True, elem_id="bs-panel"):
        presets = _presets()
        gflop = Dial(1, models.max_gflop, value=models.default_gflop, step=1, label=strings.BUDGET, buttons=[])
        estimate = Notice(lines(line("info", ("plain", strings.LOADING))), elem_id="bs-estimate")
        model = _choice(strings.MODEL, model_choices(models, "generator"), models.searcher)
        model.elem_id = "bs-model"
        about = _help(models.generators[models.searcher].description)
        strategy = _choice(strings.STRATEGY, strategy_choices(models, models.searcher), DEFAULT_STRATEGY)
        strategy.elem_id = "bs-strategy"
        helps = _help(get_strategy(DEFAULT_STRATEGY).description)
        chooser = gr.Checkbox(False, label=strings.CHOOSER, info=strings.CHOOSER_HELP, elem_id="bs-chooser")
        groups, parameters = _parameter_groups(models.steps)
        verifier = _choice(strings.VERIFIER, guide_choices(models), next(iter(models.verifiers)))
        badge = _help("")
        seed, lock = _seed_row()
        baseline = _choice(strings.BESIDE, baseline_choices(models), settings.BASELINE)
        baseline.elem_id = "bs-baseline"
        private = gr.Checkbox(False, label=strings.PRIVATE, info=strings.PRIVATE_HELP, elem_id="bs-private")
        judge, finalists = _advanced(models)
    fixed = {"model": model, "strategy": strategy, "verifier": verifier, "judge": judge, "finalists": finalists,
             "gflop": gflop, "seed": seed, "chooser": chooser}  # fmt: skip
    controls = [*(fixed[name] for name in settings.FIXED[1:]), *parameters]
    _wire_choices(models, (model, about), (strategy, helps, groups), _looks(parameters))
    named = dict(zip(settings.parameter_names(), parameters, strict=True))
    _wire_presets(models, presets, model, (strategy, gflop), named)
    _wire_badge(models, verifier, badge)
    _wire_scale(models, model, gflop, verifier)
    _wire_changes([*controls, baseline])
    return Panel(controls, baseline, private, lock, estimate)


def _presets() -> dict[str, gr.Button]:
    with gr.Row(elem_id="bs-presets"):
        return {name: gr.Button(strings.PRESETS[name], size="sm", elem_id=f"bs-preset-{name}") for name in PRESETS}


def _wire_presets(models: Models, chips: dict[str, gr.Button], model: Choice, fixed: tuple, parameters: dict) -> None:
    """A preset sets strategy, budget and the sizes of the beam, at once and without the server."""
    sizes = [parameters[DEFAULT_STRATEGY, name] for name in ("width", "branch", "look")]
    for name, chip in chips.items():
        values = {key: preset(models, name, key) for key in models.generators}
        usual = json.dumps(values[models.searcher])
        chip.click(None, model, [*fixed, *sizes], js=f"(model) => ({json.dumps(values)})[model] ?? {usual}",
                   api_visibility="private")


def preset(models: Models, name: str, model: str) -> list[Any]:
    """Strategy, budget, width, branch and look of a preset."""
    share, width, branch = PRESETS[name]
    gflop = min(models.most_gflop(model), round(models.usual_gflop(model) * share))
    return [DEFAULT_STRATEGY, gflop, width, branch, "preview"]


def _seed_row() -> tuple[gr.Textbox, gr.Checkbox]:
    with gr.Row(elem_id="bs-seedrow"):
        seed = gr.Textbox("7", label=strings.SEED, max_lines=1, max_length=19, elem_id="bs-seed",
                          elem_classes="bs-amount", scale=1, min_width=120)
        roll = gr.Button(strings.ROLL, size="sm", elem_id="bs-roll", scale=0, min_width=32)
        lock = gr.Checkbox(True, label=strings.LOCK, elem_id="bs-lock", container=False, scale=0, min_width=60)
    roll.click(None, None, seed, js=ROLL, api_visibility="private")
    return seed, lock


def _wire_badge(models: Models, verifier: Choice, badge: gr.Markdown) -> None:
    def told(name: Any) -> str:
        return cost_badge(models, name)

    gr.on([gr.context.Context.root_block.load, verifier.change], told, verifier, badge, concurrency_limit=None,
          trigger_mode="always_last", **QUIET)  # fmt: skip


def cost_badge(models: Models, guide: Any) -> str:
    """What a verifier costs, as a share of an image of the model that paints; nothing where that is not known."""
    try:
        spent = sum(models.verifier(name).cost.flops for name in settings.members(str(guide)))
        painter = models.generator(models.searcher)
        image = sum(painter.step_cost(step).flops for step in range(painter.num_steps))
    except Exception:  # the estimate tells what is wrong
        return ""
    return strings.VERIFIER_COST.format(gflop=f"{spent / GIGA:.2g}", share=f"{spent / image:.0%}")


def _wire_changes(controls: list[Any]) -> None:
    """What a person changes after a run is noted on the Search button; the tree stays as it is."""
    gr.on([control.input for control in controls], None, None, None, js=CHANGED % json.dumps(strings.CHANGED),
          api_visibility="private")  # fmt: skip


def baseline_choices(models: Models) -> list[tuple[str, str]]:
    """What can run beside a search, by the names that people read."""
    named = [
        (_labelled(f"{strings.name_of(strings.GENERATOR_NAMES, generator)}, {_method(key.partition('@')[0])}",
                   models.state("generator", generator)), key)
        for key, generator in settings.baselines(models).items()
    ]
    return [*named, (strings.NO_BASELINE, settings.NO_BASELINE)]


def _labelled(name: str, state: Readiness) -> str:
    return name if state.ready else strings.NOT_READY.format(name=name, why=state.short)


def _method(strategy: str) -> str:
    if strategy == settings.BASELINE:
        return strings.BEST_OF_N
    name = strings.name_of(strings.STRATEGY_NAMES, strategy)
    return name if name[:2].isupper() else name.lower()


def _advanced(models: Models) -> tuple[Choice, Dial]:
    with gr.Accordion(strings.ADVANCED, open=False, elem_id="bs-advanced"):
        judge = _choice(strings.JUDGE, judge_choices(models), "")
        finalists = Dial(1, MAX_FINALISTS, value=4, step=1, label=strings.FINALISTS, buttons=[])
    return judge, finalists


def _help(text: str) -> gr.Markdown:
    return gr.Markdown(text, elem_classes="bs-help")


def _choice(label: str, choices: list[tuple[str, Any]], value: Any) -> Choice:
    return Choice(choices, value=value, label=label, filterable=False)


def model_choices(models: Models, role: str) -> list[tuple[str, str]]:
    """Generators or verifiers by the names that people read; those that are not ready say why, and are grey."""
    table, names = models.generators, strings.GENERATOR_NAMES
    if role == "verifier":
        table, names = models.verifiers, strings.VERIFIER_NAMES
    return [(_labelled(strings.name_of(names, key), models.state(role, key)), key) for key in table]


def judge_choices(models: Models) -> list[tuple[str, str]]:
    """Nobody, and every verifier."""
    return [(strings.NO_JUDGE, ""), *model_choices(models, "verifier")]


def guide_choices(models: Models) -> list[tuple[str, str]]:
    """Verifiers and ensembles by the names that people read."""
    ensembles = [guide for guide in models.guides() if guide not in models.verifiers]
    named = [(strings.OF_ALL.format(name=strings.guide_name(guide, whole=False)), guide) for guide in ensembles]
    return [*model_choices(models, "verifier"), *named]


def strategy_choices(models: Models, model: str) -> list[tuple[str, str]]:
    """All strategies; those that do not work on the model say so and come last."""
    known = {**dict.fromkeys(strings.STRATEGY_NAMES), **STRATEGIES}
    named = [(strings.name_of(strings.STRATEGY_NAMES, name), name) for name in known if name in STRATEGIES]
    if model not in models.generators:
        return named
    refused = [unsupported(name, model, models.abilities(model)) is not None for _, name in named]
    fit = [choice for choice, no in zip(named, refused, strict=True) if not no]
    return fit + [
        (strings.NOT_WITH_MODEL.format(name=label), name)
        for (label, name), no in zip(named, refused, strict=True) if no
    ]  # fmt: skip


def _parameter_groups(steps: tuple[str, ...]) -> tuple[list[gr.Column], list[gr.components.Component]]:
    """One group of controls a strategy, made from its signature; only the chosen strategy's is shown."""
    groups, parameters = [], []
    for name, strategy in STRATEGIES.items():
        with gr.Column(visible=name == DEFAULT_STRATEGY) as group:
            parameters += [parameter_control(name, param, steps) for param in strategy.params]
        groups.append(group)
    return groups, parameters


def _looks(parameters: list[gr.components.Component]) -> list[Choice]:
    """Those controls whose choices are the steps of the model."""
    params = [param for strategy in STRATEGIES.values() for param in strategy.params]
    return [control for control, param in zip(parameters, params, strict=True) if param.is_look]


def parameter_control(strategy: str, param: Param, steps: tuple[str, ...]) -> gr.components.Component:
    """The control of one parameter: what its annotation says."""
    options = {"value": param.default, "label": strings.parameter_name(strategy, param.name)}
    if param.is_look:
        return Choice(look_choices(steps), filterable=False, **options)
    if param.choices:
        return Choice([(name.replace("_", " "), name) for name in param.choices], filterable=False, **options)
    low, high = param.range.low, _slider_end(param)
    if param.optional:  # a number field of Gradio is never empty
        return gr.Textbox(placeholder=strings.OFF, max_lines=1, max_length=19, elem_classes="bs-amount", **options)
    if not param.whole and high - low > WIDEST:
        return Amount(step=0.1, elem_classes="bs-amount", **options)
    return Dial(low, high, step=1 if param.whole else _fraction(low, high, param.default), buttons=[], **options)


def _slider_end(param: Param) -> float:
    end = min(param.range.high, SLIDER_END.get(param.name, param.range.high))
    return max(end, param.default) if param.default is not None else end


def _fraction(low: float, high: float, default: float) -> float:
    """The step of a slider with fractions: a power of ten, small enough for the default to be one of its places."""
    step = 10.0 ** math.floor(math.log10((high - low) / FRACTIONS)) if high > low else 0.1
    while step > FINEST and not math.isclose((default - low) / step, round((default - low) / step), abs_tol=1e-6):
        step /= 10
    return step


def look_choices(steps: tuple[str, ...]) -> list[tuple[str, Any]]:
    """The looks that a model of these steps has."""
    between = enumerate(steps[1:-1], start=2)
    ahead = [(strings.LOOK_STEP.format(step=step, label=label), step) for step, label in between]
    return [*((label, key) for key, label in strings.LOOKS.items()), *ahead]


def _wire_choices(models: Models, model: tuple, strategy: tuple, looks: list[Choice]) -> None:
    """Keep sentences and choices in step with what is chosen."""
    chosen, about = model
    search, helps, groups = strategy

    def by_model(name: Any, *values: Any) -> list[Any]:
        return show_model(models, name, values)

    search.change(show_parameters, search, [helps, *groups], **INSTANT)
    chosen.change(by_model, [chosen, *looks], [about, search, *looks], **INSTANT)


def _wire_scale(models: Models, model: Choice, gflop: Dial, verifier: Choice) -> None:
    """A large model brings its own scale of budgets, and verifiers that can judge its pictures."""
    def by_model(name: Any, budget: Any, guide: Any) -> list[Any]:
        return show_scale(models, name, budget, guide)

    model.change(by_model, [model, gflop, verifier], [gflop, verifier], **INSTANT)


def show_scale(models: Models, name: Any, budget: Any, guide: Any) -> list[Any]:
    """The dial of the budget, and the guide: both as they were where they go with the model."""
    try:
        models.require("generator", str(name))
        least, usual, most = models.scale_of(str(name))
    except Exception:  # the estimate tells it
        return [gr.skip(), gr.skip()]
    kept = isinstance(budget, int | float) and least <= budget <= most
    return [gr.update(maximum=most, value=budget if kept else usual), _seeing(models, str(name), guide)]


def _seeing(models: Models, name: str, guide: Any) -> Any:
    """A guide for a model's pictures: the first that is ready, where the one chosen cannot judge them."""
    try:
        models.require_sight(name, settings.members(str(guide)))
    except BadRequest:
        return models.guide_of(name)
    return gr.skip()


def show_parameters(name: Any) -> list[Any]:
    """The chosen strategy's sentence and controls; the others keep their values out of sight."""
    try:
        text = get_strategy(str(name)).description
    except BadRequest as error:
        return [str(error), *(gr.skip() for _ in STRATEGIES)]
    return [text, *(gr.update(visible=key == name) for key in STRATEGIES)]


def show_model(models: Models, name: Any, looks: tuple) -> list[Any]:
    """The chosen model's sentence, the strategies in its order, its steps to look ahead to."""
    try:
        models.require("generator", str(name))
        about = pick("generator", models.generators, str(name)).description
        choices = look_choices(models.steps_of(name))
    except Exception as error:  # the estimate tells the rest
        return [sentence(error), *(gr.skip() for _ in (None, *looks))]
    there = {value for _, value in choices}
    values = [look if look in there else "preview" for look in looks]
    return [about, gr.update(choices=strategy_choices(models, name)),
            *(gr.update(choices=choices, value=value) for value in values)]  # fmt: skip
