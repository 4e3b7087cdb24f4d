"""The page: prompt, examples, settings and the stage, and what happens when they are used.

No algorithm lives here. Handlers read the controls, call settings, the runner or the library, and say what came of it.
"""

import json
import logging
from dataclasses import dataclass
from itertools import count
from typing import Any

import gradio as gr

from core.search.errors import BadRequest, BeamscopeError, WeightsMissing
from core.search.schema import Param
from core.search.strategies.registry import STRATEGIES, get_strategy
from demo import settings, strings
from demo.component import Notice, Stage, line, lines
from demo.models import Models
from demo.remote import make_remote
from demo.streaming import Library, Runner

log = logging.getLogger(__name__)
QUIET = {"show_progress": "hidden", "api_visibility": "private"}
INSTANT = {**QUIET, "queue": False, "trigger_mode": "always_last"}
HEADER = f"<div class='bs-brand'><h1>{strings.TITLE}</h1><p>{strings.SUBTITLE}</p></div>"
LOAD_PATIENCE = 120  # seconds that the first estimate waits for the models
SLIDER_END = {"width": 16, "branch": 16, "n": 128}  # beyond it a tree is too large to be looked at


def build_page(models: Models, library: Library, runner: Runner) -> gr.Blocks:
    """The whole page, wired to the models, the runs that can be shown, and the runner that makes new ones."""
    with gr.Blocks(title=strings.TITLE, fill_width=True, elem_id="bs-page") as page:
        run = gr.State("")
        prompt, search, stop = _prompt_row()
        chips = _example_row(models)
        hint = Notice(elem_id="bs-hint")
        with gr.Row(elem_id="bs-body"):
            with gr.Column(elem_id="bs-settings", scale=0):
                controls, estimate = _settings(models)
            with gr.Column(elem_id="bs-view"):
                stage = Stage(make_remote(library, runner), elem_id="bs-stage")
        _wire_prompt(models, prompt, chips, hint)
        _wire_settings(models, controls, estimate)
        _wire_runs(Wires(models, library, runner), (prompt, *controls), (stage, run, hint), (search, stop))
    return page


# -- what there is to see ---------------------------------------------------------------------------------------------


def _prompt_row() -> tuple[gr.Textbox, gr.Button, gr.Button]:
    with gr.Row(elem_id="bs-ask"):
        gr.HTML(HEADER, elem_id="bs-header", apply_default_css=False)
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
    """Controls in the order (strategy, verifier, budget, seed, *parameters), and the notice of what they will cost."""
    with gr.Accordion("Settings", open=True, elem_id="bs-panel"):
        strategy = gr.Radio(_choices(STRATEGIES, strings.STRATEGY_SHORT), value="beam_search", label="Strategy",
                            elem_id="bs-strategy")
        helps = gr.Markdown(get_strategy("beam_search").description, elem_classes="bs-help")
        groups, parameters = _parameter_groups(models.steps)
        verifier = gr.Dropdown(
            _choices(models.verifiers, strings.VERIFIER_NAMES), value=next(iter(models.verifiers)),
            label="Verifier that guides", filterable=False,
        )  # fmt: skip
        gflop = gr.Slider(
            1, models.max_gflop, value=models.default_gflop, step=1, label=strings.BUDGET, buttons=[],
        )  # fmt: skip
        seed = gr.Number(7, label=strings.SEED, precision=0, minimum=0, maximum=settings.MAX_SEED)
        estimate = Notice(lines(line("info", ("plain", strings.LOADING))), elem_id="bs-estimate")
    strategy.change(_show_parameters, strategy, [helps, *groups], **INSTANT)
    return [strategy, verifier, gflop, seed, *parameters], estimate


def _choices(keys: Any, names: dict[str, str]) -> list[tuple[str, str]]:
    return [(strings.name_of(names, key), key) for key in keys]


def _parameter_groups(steps: tuple[str, ...]) -> tuple[list[gr.Column], list[gr.components.Component]]:
    """One group of controls a strategy, made from its signature; only the chosen strategy's is shown."""
    groups, parameters = [], []
    for name, strategy in STRATEGIES.items():
        with gr.Column(visible=name == "beam_search") as group:
            parameters += [_parameter(param, steps) for param in strategy.params]
        groups.append(group)
    return groups, parameters


def _parameter(param: Param, steps: tuple[str, ...]) -> gr.components.Component:
    label = strings.name_of(strings.PARAMETERS, param.name)
    if param.range is None:
        return gr.Dropdown(_looks(steps), value=param.default, label=label, filterable=False)
    high = min(param.range.high, SLIDER_END.get(param.name, param.range.high))
    return gr.Slider(param.range.low, high, value=param.default, step=1, label=label, buttons=[])


def _looks(steps: tuple[str, ...]) -> list[tuple[str, Any]]:
    between = enumerate(steps[1:-1], start=2)
    ahead = [(strings.LOOK_SCALE.format(step=step, label=label), step) for step, label in between]
    return [*((label, key) for key, label in strings.LOOKS.items()), *ahead]


def _show_parameters(name: Any) -> list[Any]:
    """The chosen strategy's sentence and controls; the others keep their values out of sight."""
    try:
        text = get_strategy(str(name)).description
    except BadRequest as error:
        return [str(error), *(gr.skip() for _ in STRATEGIES)]
    return [text, *(gr.update(visible=key == name) for key in STRATEGIES)]


# -- what happens -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wires:
    """What the handlers of runs need."""

    models: Models
    library: Library
    runner: Runner


def _wire_prompt(models: Models, prompt: gr.Textbox, chips: list[gr.Button], hint: Notice) -> None:
    def told(text: Any) -> dict[str, Any]:
        return known_words(models, text)

    prompt.change(told, prompt, hint, **INSTANT)
    for chip in chips:
        chip.click(None, None, prompt, js=f"() => {json.dumps(chip.value)}", api_visibility="private")


def _wire_settings(models: Models, controls: list[Any], estimate: Notice) -> None:
    def priced(*values: Any) -> dict[str, Any]:
        return predicted(models, values)

    changes = [control.change for control in controls]
    gr.on([gr.context.Context.root_block.load, *changes], priced, controls, estimate, concurrency_limit=None,
          trigger_mode="always_last", **QUIET)  # fmt: skip


def _wire_runs(wires: Wires, controls: tuple, shown: tuple, buttons: tuple[gr.Button, gr.Button]) -> None:
    stage, run, hint = shown
    search, stop = buttons
    prompt = controls[0]

    def begin(*values: Any) -> tuple[Any, ...]:
        return _begin(wires, values)

    def end(current: str) -> None:
        wires.runner.stop(current)

    def arrive(request: gr.Request) -> list[Any]:
        return _arrive(wires, request.query_params.get("run"))

    def lively(event: gr.EventData) -> Any:
        return gr.update(interactive=bool(getattr(event, "live", False)))

    asked = [search.click, prompt.submit]
    gr.on(asked, begin, list(controls), [stage, run, hint, stop], concurrency_limit=None, **QUIET)
    stop.click(end, run, None, **INSTANT)
    stage.live(lively, None, stop, **INSTANT)
    gr.context.Context.root_block.load(arrive, None, [stage, run, hint, *controls], **QUIET)


_tickets = count(1)


def _begin(wires: Wires, values: tuple) -> tuple[Any, ...]:
    """Start a comparison: stage, run, hint, stop button. What is wrong with a request is said where the hint stands."""
    try:
        _require_models(wires.models)
        spec = settings.read(wires.models, *values[:5], values[5:])
        settings.require_words(wires.models, spec.prompt)
        run = wires.runner.start(settings.plan(wires.models, spec).specs)
    except Exception as error:
        return gr.skip(), gr.skip(), complaint(error), gr.skip()
    return attach(run), run, known_words(wires.models, spec.prompt), gr.update(interactive=True)


def complaint(error: Exception) -> dict[str, Any]:
    """What is wrong with a request, as a sentence in the place where messages stand."""
    if not isinstance(error, BeamscopeError):
        log.error("a request failed", exc_info=error)
    text = strings.said(str(error)) if isinstance(error, BeamscopeError) else strings.UNEXPECTED
    return lines(line("error", ("plain", text[:1].upper() + text[1:])))


def attach(run: str, replay: bool = False) -> dict[str, Any]:
    """The stage's value that makes it show a run."""
    return {"run": run, "replay": replay, "ticket": next(_tickets)}


def _arrive(wires: Wires, wanted: str | None) -> list[Any]:
    """What a page shows when it opens: the run its address names, else a recorded one."""
    untouched = [gr.skip()] * (5 + len(settings.parameter_names()))
    if wanted is None:
        recorded = wires.library.recorded()
        shown = attach(recorded, replay=True) if recorded else {}
        return [shown, "", lines(line("info", ("plain", strings.FIRST_VISIT))) if recorded else gr.skip(), *untouched]
    try:
        reader = wires.library.reader(wanted)
    except BadRequest as error:
        return [gr.skip(), "", complaint(error), *untouched]
    reader.update()
    spec = reader.tree.spec
    return [attach(wanted), wanted, gr.skip(), *(settings.control_values(spec) if spec else untouched)]


def _require_models(models: Models) -> None:
    if not models.ready.wait(LOAD_PATIENCE):
        raise BadRequest(strings.LOADING)
    if models.problem:
        raise WeightsMissing(models.problem)


def known_words(models: Models, text: Any) -> dict[str, Any]:
    """Which words of a prompt the models know, and the nearest ones to those they do not."""
    if models.check is None or not isinstance(text, str) or not text.strip():
        return lines()
    found = models.check(text[: settings.MAX_PROMPT])
    parts = [("plain", "knows: "), ("strong", ", ".join(found.known) or "no word of this")]
    for position, (word, nearest) in enumerate(found.unknown):
        parts += [("plain", ", " if position else " · does not know: "), ("unknown", word)]
        parts += [("plain", f" → nearest \u201c{nearest}\u201d")] if nearest else []
    parts += [("plain", f" · {note}") for note in found.notes[:1]]
    return lines(line("info", *parts))


def predicted(models: Models, values: tuple) -> dict[str, Any]:
    """What a search with these settings would cost, or why it cannot run."""
    try:
        _require_models(models)
        plan = settings.plan(models, settings.read(models, PROBE, *values[:4], values[4:]))
    except Exception as error:
        return complaint(error)
    return lines(*(line("info", *parts) for parts in settings.describe(plan)))


PROBE = "any prompt"  # the cost of a search does not depend on its words
