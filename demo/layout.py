"""The page: prompt, examples, settings and the stage, and what happens when they are used.

No algorithm lives here. Handlers read the controls, call settings, the runner or the library, and say what came of it.
"""

import json
import logging
import math
from dataclasses import replace
from itertools import count
from typing import Any

import gradio as gr

from core.registry import pick
from core.search.errors import BadRequest, BeamscopeError, UnsupportedStrategy
from core.search.events import RunSpec
from core.search.schema import Param
from core.search.search import MAX_FINALISTS
from core.search.strategies.registry import STRATEGIES, get_strategy, unsupported
from demo import links, settings, strings
from demo.component import Amount, Choice, Dial, Notice, Stage, line, lines
from demo.context import Context
from demo.launch import launch, require_models
from demo.models import Models
from demo.pages import top_bar
from demo.remote import make_remote
from demo.settings import GIGA

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


def build_page(context: Context) -> gr.Blocks:
    """The whole page, wired to the models, the runs that can be shown, and the runner that makes new ones."""
    models = context.models
    with gr.Blocks(title=strings.TITLE, fill_width=True, elem_id="bs-page") as page:
        gr.HTML(top_bar("explore"), elem_id="bs-header", apply_default_css=False)
        run = gr.State("")
        prompt, search, stop = _prompt_row()
        chips = _example_row(models)
        hint = Notice(elem_id="bs-hint")
        with gr.Row(elem_id="bs-body"):
            with gr.Column(elem_id="bs-settings", scale=0):
                controls, estimate = _settings(models)
            with gr.Column(elem_id="bs-view"):
                stage = Stage(make_remote(context), elem_id="bs-stage")
        _wire_prompt(models, prompt, controls[0], chips, hint)
        _wire_settings(models, controls, estimate)
        _wire_runs(context, (prompt, *controls), (stage, run, hint), (search, stop))
    return page


# -- what there is to see ---------------------------------------------------------------------------------------------


def _prompt_row() -> tuple[gr.Textbox, gr.Button, gr.Button]:
    with gr.Row(elem_id="bs-ask"):
        prompt = gr.Textbox(
            placeholder=strings.PROMPT_PLACEHOLDER, label=strings.PROMPT_LABEL, show_label=False, container=False,
            max_length=settings.MAX_PROMPT, lines=1, max_lines=1, elem_id="bs-prompt", interactive=True, scale=8,
        )  # fmt: skip
        search = gr.Button(strings.SEARCH, variant="primary", elem_id="bs-search", scale=0)
        stop = gr.Button(strings.STOP, elem_id="bs-stop", interactive=False, scale=0)
    return prompt, search, stop


def _example_row(models: Models) -> list[gr.Button]:
    with gr.Row(elem_id="bs-examples"):
        return [gr.Button(text, size="sm") for text in models.examples]


def _settings(models: Models) -> tuple[list[gr.components.Component], Notice]:
    """Controls as in settings.FIXED without the prompt, then parameters; the notice of what they will cost."""
    with gr.Accordion("Settings", open=True, elem_id="bs-panel"):
        model = _choice(strings.MODEL, _choices(models.generators, strings.GENERATOR_NAMES), models.searcher)
        model.elem_id = "bs-model"
        about = _help(models.generators[models.searcher].description)
        strategy = _choice(strings.STRATEGY, strategy_choices(models, models.searcher), DEFAULT_STRATEGY)
        strategy.elem_id = "bs-strategy"
        helps = _help(get_strategy(DEFAULT_STRATEGY).description)
        chooser = gr.Checkbox(False, label=strings.CHOOSER, info=strings.CHOOSER_HELP, elem_id="bs-chooser")
        groups, parameters = _parameter_groups(models.steps)
        verifier = _choice(strings.VERIFIER, guide_choices(models), next(iter(models.verifiers)))
        gflop = Dial(1, models.max_gflop, value=models.default_gflop, step=1, label=strings.BUDGET, buttons=[])
        seed = gr.Textbox("7", label=strings.SEED, max_lines=1, max_length=19, elem_id="bs-seed",
                          elem_classes="bs-amount")
        judge, finalists = _advanced(models)
        estimate = Notice(lines(line("info", ("plain", strings.LOADING))), elem_id="bs-estimate")
    _wire_choices(models, (model, about), (strategy, helps, groups), _looks(parameters))
    fixed = {"model": model, "strategy": strategy, "verifier": verifier, "judge": judge, "finalists": finalists,
             "gflop": gflop, "seed": seed, "chooser": chooser}  # fmt: skip
    return [*(fixed[name] for name in settings.FIXED[1:]), *parameters], estimate


def _advanced(models: Models) -> tuple[Choice, Dial]:
    with gr.Accordion(strings.ADVANCED, open=False, elem_id="bs-advanced"):
        names = [(strings.NO_JUDGE, ""), *_choices(models.verifiers, strings.VERIFIER_NAMES)]
        judge = _choice(strings.JUDGE, names, "")
        finalists = Dial(1, MAX_FINALISTS, value=4, step=1, label=strings.FINALISTS, buttons=[])
    return judge, finalists


def _help(text: str) -> gr.Markdown:
    return gr.Markdown(text, elem_classes="bs-help")


def _choice(label: str, choices: list[tuple[str, Any]], value: Any) -> Choice:
    return Choice(choices, value=value, label=label, filterable=False)


def _choices(keys: Any, names: dict[str, str]) -> list[tuple[str, str]]:
    return [(strings.name_of(names, key), key) for key in keys]


def guide_choices(models: Models) -> list[tuple[str, str]]:
    """Verifiers and ensembles by the names that people read."""
    ensembles = [guide for guide in models.guides() if guide not in models.verifiers]
    named = [(strings.OF_ALL.format(name=strings.guide_name(guide, whole=False)), guide) for guide in ensembles]
    return [*_choices(models.verifiers, strings.VERIFIER_NAMES), *named]


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
        about = pick("generator", models.generators, str(name)).description
        choices = look_choices(models.steps_of(name))
    except Exception as error:  # the estimate tells the rest
        return [sentence(error), *(gr.skip() for _ in (None, *looks))]
    there = {value for _, value in choices}
    values = [look if look in there else "preview" for look in looks]
    return [about, gr.update(choices=strategy_choices(models, name)),
            *(gr.update(choices=choices, value=value) for value in values)]  # fmt: skip


# -- what happens -----------------------------------------------------------------------------------------------------


def _wire_prompt(models: Models, prompt: gr.Textbox, model: Choice, chips: list[gr.Button], hint: Notice) -> None:
    def told(text: Any, generator: Any) -> dict[str, Any]:
        return known_words(models, generator, text)

    gr.on([prompt.change, model.input], told, [prompt, model], hint, **INSTANT)
    for chip in chips:
        chip.click(None, None, prompt, js=f"() => {json.dumps(chip.value)}", api_visibility="private")


def _wire_settings(models: Models, controls: list[Any], estimate: Notice) -> None:
    def priced(*values: Any) -> dict[str, Any]:
        return predicted(models, values)

    changes = [control.change for control in controls]
    gr.on([gr.context.Context.root_block.load, *changes], priced, controls, estimate, concurrency_limit=None,
          trigger_mode="always_last", **QUIET)  # fmt: skip


def _wire_runs(context: Context, controls: tuple, shown: tuple, buttons: tuple[gr.Button, gr.Button]) -> None:
    stage, run, hint = shown
    search, stop = buttons
    prompt = controls[0]

    def begin(request: gr.Request, *values: Any) -> tuple[Any, ...]:
        return _begin(context, values, request)

    def end(current: str, request: gr.Request) -> None:
        if current and context.library.owns(current, context.visitors.of(request)):
            context.runner.stop(current)

    def arrive(request: gr.Request) -> list[Any]:
        query = dict(request.query_params)
        if "run" not in query and links.is_link(query):
            return _restored(context.models, query)
        return _arrive(context, query.get("run"), context.visitors.of(request))

    def lively(request: gr.Request, event: gr.EventData) -> tuple[Any, Any]:
        """The stage may have gone over to another run by itself: the button stops the one that is shown."""
        shown = getattr(event, "run", None)
        try:
            own = context.library.owns(shown, context.visitors.of(request))
        except BadRequest:
            return gr.update(interactive=False), gr.skip()
        return gr.update(interactive=own and bool(getattr(event, "live", False))), shown

    asked = [search.click, prompt.submit]
    gr.on(asked, begin, list(controls), [stage, run, hint, stop], concurrency_limit=None, **QUIET)
    stop.click(end, run, None, **INSTANT)
    stage.live(lively, None, [stop, run], **INSTANT)
    gr.context.Context.root_block.load(arrive, None, [stage, run, hint, *controls], **QUIET)


_tickets = count(1)


def _begin(context: Context, values: tuple, request: Any = None) -> tuple[Any, ...]:
    """Start a comparison: stage, run, hint, stop button. What is wrong with a request is said where the hint stands."""
    try:
        require_models(context.models)
        spec = settings.read(context.models, values)
        settings.require_words(context.models, spec)
        run = launch(context, settings.plan(context.models, spec), request)
    except Exception as error:
        return gr.skip(), gr.skip(), complaint(error), gr.skip()
    return attach(run), run, known_words(context.models, spec.generator, spec.prompt), gr.update(interactive=True)


def complaint(error: Exception) -> dict[str, Any]:
    """What is wrong with a request, as a sentence in the place where messages stand."""
    return lines(line("error", ("plain", sentence(error))))


def sentence(error: Exception) -> str:
    """An error in words. That a strategy does not work on a model is said in the very words of the command line."""
    if not isinstance(error, BeamscopeError):
        log.error("a request failed", exc_info=error)
        return strings.UNEXPECTED
    if isinstance(error, UnsupportedStrategy):
        return str(error)
    return strings.sentence(str(error))


def attach(run: str, replay: bool = False) -> dict[str, Any]:
    """The stage's value that makes it show a run."""
    return {"run": run, "replay": replay, "ticket": next(_tickets)}


def _arrive(context: Context, wanted: str | None, visitor: str = "") -> list[Any]:
    """What a page shows when it opens: the run its address names, else a recorded one."""
    untouched = [gr.skip()] * (len(settings.FIXED) + len(settings.parameter_names()))
    if wanted is None:
        recorded = context.library.recorded()
        shown = attach(recorded, replay=True) if recorded else {}
        return [shown, "", lines(line("info", ("plain", strings.FIRST_VISIT))) if recorded else gr.skip(), *untouched]
    try:
        reader = context.library.reader(wanted, visitor)
    except BadRequest as error:
        return [gr.skip(), "", complaint(error), *untouched]
    reader.update()
    spec = reader.tree.spec
    return [attach(wanted), wanted, gr.skip(), *(_shown_values(context.models, spec) if spec else untouched)]


def _restored(models: Models, query: dict[str, str]) -> list[Any]:
    """What a page shows whose address gives settings: these, and no run yet."""
    try:
        spec = links.spec_of(models, query)
    except Exception as error:
        return [{}, "", complaint(error), *[gr.skip()] * (len(settings.FIXED) + len(settings.parameter_names()))]
    return [{}, "", gr.skip(), *_shown_values(models, spec)]


def _shown_values(models: Models, spec: RunSpec) -> list[Any]:
    """The controls' values: the usual budget if it had none, and its guide even if the page does not offer it."""
    values = settings.control_values(replace(spec, budget_flops=spec.budget_flops or models.default_gflop * GIGA))
    choices = guide_choices(models)
    if spec.verifier not in dict(map(reversed, choices)):
        choices.append((strings.guide_name(spec.verifier), spec.verifier))
    values[settings.FIXED.index("verifier")] = gr.update(choices=choices, value=spec.verifier)
    return values


def known_words(models: Models, generator: Any, text: Any) -> dict[str, Any]:
    """Which words of a prompt a model knows, and the nearest ones to those it does not."""
    if not isinstance(text, str) or not text.strip():
        return lines()
    found = models.known_words(str(generator), text[: settings.MAX_PROMPT])
    if found is None:
        return lines()
    parts = [("plain", "knows: "), ("strong", ", ".join(found.known) or "no word of this")]
    for position, (word, nearest) in enumerate(found.unknown):
        parts += [("plain", ", " if position else " · does not know: "), ("unknown", word)]
        parts += [("plain", f" → nearest \u201c{nearest}\u201d")] if nearest else []
    parts += [("plain", f" · {note}") for note in found.notes[:1]]
    return lines(line("info", *parts))


def predicted(models: Models, values: tuple) -> dict[str, Any]:
    """What a search with these settings would cost, or why it cannot run."""
    try:
        require_models(models)
        plan = settings.plan(models, settings.read(models, (PROBE, *values)))
    except Exception as error:
        return complaint(error)
    return lines(*(line("info", *parts) for parts in settings.describe(plan)))


PROBE = "any prompt"  # the cost of a search does not depend on its words
