"""The page: prompt, examples, settings and the stage, and what happens when they are used.

No algorithm lives here. Handlers read the controls, call settings, the runner or the library, and say what came of it.
"""

import json
import secrets
from dataclasses import replace
from itertools import count
from typing import Any

import gradio as gr

from core.search.errors import BadRequest
from core.search.events import RunSpec
from demo import links, settings, strings
from demo.api import add_api
from demo.asked import Asked, read_around
from demo.component import Choice, Notice, Stage, line, lines
from demo.context import Context
from demo.launch import launch, require_models
from demo.models import Models
from demo.pages import top_bar
from demo.panel import (
    INSTANT,
    QUIET,
    Panel,
    baseline_choices,
    guide_choices,
    judge_choices,
    make_panel,
    model_choices,
)
from demo.settings import GIGA
from demo.words import complaint

FRESH_SEEDS = 10**9


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
                panel = make_panel(models)
            with gr.Column(elem_id="bs-view"):
                stage = Stage(elem_id="bs-stage")
        _wire_prompt(models, prompt, panel.model, chips, hint)
        _wire_estimate(models, panel, stage)
        _wire_runs(context, (prompt, panel), (stage, run, hint), (search, stop))
        add_api(context)
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


# -- what happens -----------------------------------------------------------------------------------------------------


def _wire_prompt(models: Models, prompt: gr.Textbox, model: Choice, chips: list[gr.Button], hint: Notice) -> None:
    def told(text: Any, generator: Any) -> dict[str, Any]:
        return known_words(models, generator, text)

    prompt.change(None, prompt, None, js=TYPED, api_visibility="private")
    gr.on([prompt.change, model.input], told, [prompt, model], hint, **INSTANT)
    for chip in chips:
        chip.click(None, None, prompt, js=f"() => {json.dumps(chip.value)}", api_visibility="private")


def _wire_estimate(models: Models, panel: Panel, stage: Stage) -> None:
    def priced(baseline: Any, *values: Any) -> dict[str, Any]:
        return predicted(models, values, baseline)

    asked = [panel.baseline, *panel.controls]
    stage.ready(priced, asked, panel.estimate, **INSTANT)
    gr.on([gr.context.Context.root_block.load, *(control.change for control in asked)], priced, asked, panel.estimate,
          concurrency_limit=None, trigger_mode="always_last", **QUIET)  # fmt: skip


def _wire_runs(context: Context, asked: tuple, shown: tuple, buttons: tuple[gr.Button, gr.Button]) -> None:
    stage, run, hint = shown
    search, stop = buttons
    prompt, panel = asked

    def begin(request: gr.Request, baseline: Any, private: Any, lock: Any, *values: Any) -> tuple[Any, ...]:
        values = values if lock else with_fresh_seed(values)
        return *_begin(context, values, request, baseline, private), values[settings.FIXED.index("seed")]

    def end(current: str, request: gr.Request) -> None:
        if current and context.library.owns(current, context.visitors.of(request)):
            context.runner.stop(current)

    def arrive(request: gr.Request) -> list[Any]:
        query = dict(request.query_params)
        visitor = context.visitors.of(request)
        return with_choices(context.models, shown_to(query, visitor))

    def shown_to(query: dict[str, str], visitor: str) -> list[Any]:
        if links.is_link(query) and not ("run" in query and _is_here(context, query["run"], visitor)):
            return [*_restored(context.models, query, gone="run" in query), gr.skip()]
        return [*_arrive(context, query.get("run"), visitor), *_around(context, query.get("run"), visitor)]

    def lively(request: gr.Request, event: gr.EventData) -> tuple[Any, Any]:
        """The stage may have gone over to another run by itself: the button stops the one that is shown."""
        shown = getattr(event, "run", None)
        try:
            own = context.library.owns(shown, context.visitors.of(request))
        except BadRequest:
            return gr.update(interactive=False), gr.skip()
        return gr.update(interactive=own and bool(getattr(event, "live", False))), shown

    controls = [prompt, *panel.controls]
    gr.on([search.click, prompt.submit], begin, [panel.baseline, panel.private, panel.lock, *controls],
          [stage, run, hint, stop, panel.seed], concurrency_limit=None, js=BEGUN, **QUIET)  # fmt: skip
    stop.click(end, run, None, **INSTANT)
    stage.live(lively, None, [stop, run], **INSTANT)
    gr.context.Context.root_block.load(
        arrive, None, [stage, run, hint, *controls, panel.baseline, panel.private], **QUIET
    )


def with_choices(models: Models, told: list[Any]) -> list[Any]:
    """What a page shows when it opens, with its lists as they are now: weights may have come since it was built."""
    before = 3   # stage, run, hint
    lists = {"model": model_choices(models, "generator"), "verifier": guide_choices(models),
             "judge": judge_choices(models)}
    places = {before + settings.FIXED.index(name): choices for name, choices in lists.items()}
    places[len(told) - 2] = baseline_choices(models)
    return [_listed(value, places[place]) if place in places else value for place, value in enumerate(told)]


def _listed(value: Any, choices: list[tuple[str, Any]]) -> Any:
    """A control's new value, or none, with its choices unless it brings its own."""
    if not isinstance(value, dict):
        return gr.update(value=value, choices=choices)
    return {"choices": choices, **value}


_tickets = count(1)


TYPED = """(text) => { document.dispatchEvent(new CustomEvent("beamscope:prompt", { detail: text })); }"""
BEGUN = """(...values) => { delete document.querySelector("#bs-search").dataset.note; return values; }"""


def with_fresh_seed(values: tuple) -> tuple:
    """The values of all controls with another seed."""
    place = settings.FIXED.index("seed")
    return (*values[:place], str(secrets.randbelow(FRESH_SEEDS)), *values[place + 1 :])


def _begin(
    context: Context, values: tuple, request: Any = None, baseline: Any = settings.BASELINE, private: Any = False
) -> tuple[Any, ...]:
    """Start a comparison: stage, run, hint, stop button. What is wrong with a request is said where the hint stands."""
    try:
        require_models(context.models)
        asked = Asked(settings.read(context.models, values), *read_around(context.models, baseline, private))
        run = launch(context, asked.plan(context.models), request, asked.private)
    except Exception as error:
        return gr.skip(), gr.skip(), complaint(error), gr.skip()
    hint = known_words(context.models, asked.spec.generator, asked.spec.prompt)
    return attach(run), run, hint, gr.update(interactive=True)


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


def _around(context: Context, wanted: str | None, visitor: str) -> list[Any]:
    """Baseline and privacy as they were for the run that is shown."""
    try:
        first, *others = context.library.lanes(wanted, visitor)
        spec = others[0].tree_now().spec if others else None
    except BadRequest:
        return [gr.skip(), gr.skip()]
    baseline = settings.baseline_of(context.models, spec)
    known = baseline in [settings.NO_BASELINE, *settings.baselines(context.models)]
    return [baseline if known else gr.skip(), context.library.audience(wanted) == "private"]


def _is_here(context: Context, run: str, visitor: str) -> bool:
    try:
        context.library.find(run, visitor)
    except BadRequest:
        return False
    return True


def _restored(models: Models, query: dict[str, str], gone: bool = False) -> list[Any]:
    """What a page shows whose address gives settings: these, and no run yet; last, what is to run beside it.

    gone: the address names a run too, which is not here any more.
    """
    try:
        spec, beside = links.spec_of(models, query), links.beside_of(models, query)
    except Exception as error:
        return [{}, "", complaint(error), *[gr.skip()] * (len(settings.FIXED) + len(settings.parameter_names()) + 1)]
    return [{"warn": strings.GONE} if gone else {}, "", gr.skip(), *_shown_values(models, spec), beside or gr.skip()]


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


def predicted(models: Models, values: tuple, baseline: Any = settings.BASELINE) -> dict[str, Any]:
    """What a search with these settings would cost, or why it cannot run."""
    if not models.ready.is_set():  # the page asks again when they are
        return lines(line("info", ("plain", strings.LOADING)))
    try:
        require_models(models)
        spec = settings.read(models, (PROBE, *values))
        plan = settings.plan(models, spec, settings.read_baseline(models, baseline))
    except Exception as error:
        return complaint(error)
    return lines(*(line("info", *parts) for parts in settings.describe(plan)))


PROBE = "any prompt"  # the cost of a search does not depend on its words
