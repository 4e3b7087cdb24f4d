"""The server's own routes, and what the handlers of the page answer. No browser."""

import ast
import asyncio
import inspect
from dataclasses import replace
from io import BytesIO
from typing import Annotated, Literal
from urllib.parse import parse_qsl

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from core import cli
from core.generators.registry import GENERATORS
from core.registry import Needs
from core.search import events, guide
from core.search.schema import Range, params_of
from core.search.strategies.registry import OURS, STRATEGIES, unsupported
from core.store.runs import RunStore
from core.verifiers.registry import VERIFIERS
from core.world import captions
from demo import layout, panel, remote, settings, strings
from demo.context import make_context
from demo.embedded import STEPS, embedded_models
from demo.record import record
from demo.server import build_app
from tests.demo.test_settings import DEFAULTS, controls, read
from tests.painted import painted_models


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """(client, id of a recorded comparison) of an app with nothing but that recording."""
    models, recorded = painted_models(), tmp_path_factory.mktemp("recorded")
    run, _ = record(models, RunStore(recorded), read())
    app = build_app(models, RunStore(tmp_path_factory.mktemp("runs")), [recorded])
    with TestClient(app) as client:
        yield client, run


def text_of(notice):
    return " ".join(part["text"] for line in notice["lines"] for part in line["parts"])


def test_health(shown):
    client, _ = shown
    assert client.get("/healthz").json() == {"ok": True}
    assert client.head("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200


def test_the_page_and_its_scripts_come_from_this_server(shown):
    client, _ = shown
    page = client.get("/")
    assert page.status_code == 200 and "Beamscope" in page.text
    for name in ("stage.js", "notice.js", "plotly.min.js"):
        assert client.get(f"/page/{name}").headers["content-type"].startswith("text/javascript")
    assert "plotly.js v" in client.get("/page/plotly.min.js").text[:200]
    for name in ("none.css", "..%2fserver.py", "server.py"):
        assert client.get(f"/page/{name}").status_code == 404


def test_pictures_are_immutable_and_come_in_two_sizes(shown):
    client, run = shown
    whole, small = client.get(f"/t/{run}/1.jpg"), client.get(f"/t/{run}/1.jpg?px=64")
    assert "immutable" in whole.headers["cache-control"]
    assert Image.open(BytesIO(whole.content)).size == (128, 128)
    assert Image.open(BytesIO(small.content)).size == (64, 64)


@pytest.mark.parametrize("address", [
    "/t/{run}/0.jpg", "/t/{run}/99999.jpg", "/t/{run}/-1.jpg", "/t/{run}/1e3.jpg", "/t/{run}/\u0661.jpg",
    "/t/{run}/1.jpg?px=4096", "/t/{run}/1.jpg?px=x", "/t/no-such-run-here/1.jpg", "/t/..%2f..%2fetc/1.jpg",
    "/t/{run}/..%2fmeta.jpg", "/t/%00/1.jpg", "/f/{run}/1.jpg", "/t/{run}/" + "9" * 5000 + ".jpg",
])
def test_forged_picture_addresses_are_not_found(shown, address):
    client, run = shown
    reply = client.get(address.format(run=run))
    assert reply.status_code == 404 and "immutable" not in reply.headers.get("cache-control", "")


def test_the_first_visit_replays_the_recorded_run_and_a_link_shows_its_run(tmp_path):
    models, recorded = painted_models(), RunStore(tmp_path / "recorded")
    run, beside = record(models, recorded, read())
    assert recorded.meta(run)["beside"] == beside
    store = RunStore(tmp_path / "runs")
    wires = make_context(models, store, [recorded.root])
    stage, current, hint, *controls = layout._arrive(wires, None)
    assert stage["run"] == run and stage["replay"] and current == "" and text_of(hint) == strings.FIRST_VISIT
    stage, current, _, *controls = layout._arrive(wires, run)
    assert stage["run"] == current == run and not stage["replay"]
    assert [value["value"] if isinstance(value, dict) else value for value in controls] == DEFAULTS
    assert layout._around(wires, run, "") == [settings.BASELINE, False]
    _, current, hint, *controls = layout._arrive(wires, "../../etc/passwd")
    assert current == "" and text_of(hint) == strings.UNKNOWN_RUN and len(controls) == len(DEFAULTS)
    wires.runner.close()


def test_a_link_whose_run_is_gone_offers_to_run_it_again(tmp_path):
    models, recorded = painted_models(), RunStore(tmp_path / "recorded")
    run, _ = record(models, recorded, read(prompt="a red car", gflop=60))
    context = make_context(models, RunStore(tmp_path / "runs"), [recorded.root])
    head = asyncio.run(remote.follow(context, {"run": run}))["head"]
    query = dict(parse_qsl(head["settings"]))
    assert layout._is_here(context, run, "") and not layout._is_here(context, "20000101-000000-00000000", "")
    stage, current, _, *controls = layout._restored(models, query, gone=True)
    assert (stage, current) == ({"warn": strings.GONE}, "")
    assert controls[0] == "a red car" and controls[settings.FIXED.index("gflop")] == 60
    context.runner.close()


def test_a_request_that_cannot_run_starts_nothing_and_says_why(tmp_path):
    models, store = painted_models(), RunStore(tmp_path)
    models.warm()
    wires = make_context(models, store)
    for changes, words in [
        ({"prompt": ""}, strings.EMPTY_PROMPT),
        ({"prompt": "xylograph"}, strings.NO_KNOWN_WORD),
        ({"gflop": 5}, "A budget of 5 GFLOP is too small"),
        ({"model": "noisy"}, unsupported("beam_search", "noisy", models.abilities("noisy"))),
    ]:
        *_, hint, _ = layout._begin(wires, tuple(controls(**changes)))
        assert words in text_of(hint) and hint["lines"][0]["kind"] == "error"
    assert store.list() == []
    wires.runner.close()


def test_known_and_unknown_words_are_told_apart():
    models = painted_models()
    hint = layout.known_words(models, "painter", "a red car and a bicyle ${7*6} <img>")
    kinds = {part["text"]: part["kind"] for part in hint["lines"][0]["parts"]}
    assert any("red, car" in text for text, kind in kinds.items() if kind == "strong")
    assert kinds["img"] == "unknown"
    assert layout.known_words(models, "painter", "  ") == {"lines": []}
    assert layout.known_words(models, "painter", None) == {"lines": []}
    assert layout.known_words(replace(models, world="of-others-"), "painter", "a bicyle") == {"lines": []}


def test_settings_are_priced_as_they_change():
    models = painted_models()
    models.warm()
    assert "GFLOP" in text_of(layout.predicted(models, tuple(DEFAULTS[1:])))
    poor = layout.predicted(models, tuple(controls(gflop=30)[1:]))
    assert poor["lines"][0]["kind"] == "error" and "largest width that fits" in text_of(poor)


def test_a_strategy_that_does_not_work_on_the_model_has_the_command_lines_sentence_for_an_estimate(capsys):
    models = embedded_models()
    models.ready.set()
    values = controls(model="emoji-flow", verifier="image_reward")[1:]
    notice = layout.predicted(models, tuple(values))
    assert cli.main(["search", "a red car", "--generator", "emoji-flow", "--strategy", "beam_search"]) == 2
    assert capsys.readouterr().err == f"error: {text_of(notice)}\n"
    assert notice["lines"][0]["kind"] == "error"


def test_only_the_chosen_strategys_parameters_are_shown():
    text, *groups = panel.show_parameters("greedy_tokens")
    assert [group["visible"] for group in groups] == [name == "greedy_tokens" for name in STRATEGIES]
    assert text == STRATEGIES["greedy_tokens"].description
    assert "unknown strategy" in panel.show_parameters(["x"])[0]


def test_the_chosen_model_decides_what_can_be_looked_at_and_which_strategies_come_first():
    models = painted_models()
    about, strategies, kept, gone = panel.show_model(models, "noisy", ("rollout", 99))
    assert about == "Paints out of noise"
    assert (kept["value"], gone["value"]) == ("rollout", "preview")
    assert [value for _, value in kept["choices"]] == ["preview", "rollout", *range(2, 12)]
    names = [name for _, name in strategies["choices"]]
    assert sorted(names) == sorted(STRATEGIES)
    works = [unsupported(name, "noisy", models.abilities("noisy")) is None for name in names]
    assert works == sorted(works, reverse=True) and len(set(works)) == 2
    assert [label.endswith(" (other models)") for label, _ in strategies["choices"]] == [not one for one in works]
    assert "unknown generator" in panel.show_model(models, {"a": 1}, ("rollout",))[0].lower()


def test_a_large_model_brings_its_own_budget_and_a_guide_that_can_see():
    models = painted_models()
    large = replace(models.generators["painter"], needs=Needs(parameters=1.0))
    models = replace(models, generators={**models.generators, "large": large}, natives=frozenset({"warmth"}))
    dial, guide = panel.show_scale(models, "large", 1.5, "warmth")
    image = sum(3e-2 * int(step.split("x")[0]) ** 2 for step in models.steps)  # GFLOP of the passes alone
    assert dial["value"] / 20 > image and dial["maximum"] == pytest.approx(10 * dial["value"], rel=0.01)
    assert guide == "lightness"
    kept, same = panel.show_scale(models, "large", dial["value"] * 2, "lightness")
    assert kept["value"] == dial["value"] * 2 and "value" not in same
    back, _ = panel.show_scale(models, "painter", 1e6, "lightness")
    assert (back["value"], back["maximum"]) == (models.default_gflop, models.max_gflop)
    assert panel.show_scale(models, "nobody", 5, "warmth")[0] == panel.show_scale(models, "nobody", 5, "warmth")[1]


def control(annotation, default):
    """The control of a parameter of a strategy that somebody wrote."""
    def strategy(search, thing=default):
        """Only a signature."""

    strategy.__annotations__["thing"] = annotation
    return panel.parameter_control("strategy", *params_of(strategy), ("1x1", "2x2", "4x4"))


def test_annotations_become_controls():
    whole = control(Annotated[int, Range(1, 8)], 3)
    assert (whole.get_block_name(), whole.minimum, whole.maximum, whole.step) == ("slider", 1, 8, 1)
    part = control(Annotated[float, Range(0, 1)], 0.5)
    assert (part.get_block_name(), part.minimum, part.maximum, part.step) == ("slider", 0, 1, 0.01)
    typed = control(Annotated[float, Range(-100, 100)], 1.0)
    assert (typed.get_block_name(), typed.value) == ("number", 1.0)
    optional = control(Annotated[int | None, Range(1, 8)], None)
    assert (optional.get_block_name(), optional.value, optional.placeholder) == ("textbox", None, "off")
    chosen = control(Literal["near", "far_off"], "near")
    assert (chosen.get_block_name(), chosen.choices) == ("dropdown", [("near", "near"), ("far off", "far_off")])
    look = control(events.Look, "preview")
    assert [value for _, value in look.choices] == ["preview", "rollout", 2]


@pytest.mark.parametrize("default", [0.5, 0.75, 0.123, 0.0, 1.0])
def test_the_default_is_a_place_of_its_slider(default):
    places = (default - 0) / control(Annotated[float, Range(0, 1)], default).step
    assert places == pytest.approx(round(places))


def test_every_slider_holds_its_default():
    for name, strategy in STRATEGIES.items():
        for param in strategy.params:
            shown = panel.parameter_control(name, param, STEPS)
            if shown.get_block_name() == "slider":
                assert param.range.low <= shown.minimum <= param.default <= shown.maximum <= param.range.high


def test_everything_of_ours_has_a_name_on_the_page():
    assert set(strings.STRATEGY_NAMES) == {strategy.name for strategy in OURS}
    assert set(strings.VERIFIER_NAMES) <= set(VERIFIERS)
    assert {name for name, entry in GENERATORS.items() if entry.needs} == set(strings.GENERATOR_NAMES)
    assert set(strings.ENSEMBLES) == set(guide.RULES)
    models = embedded_models()
    assert models.searcher in GENERATORS and models.baseline in GENERATORS and len(STEPS) == 6
    assert {param.name for strategy in OURS for param in strategy.params} == set(strings.PARAMETERS)


def test_a_run_whose_guide_the_page_does_not_offer_shows_it_all_the_same():
    models = painted_models()
    offered = [name for _, name in layout.guide_choices(models)]
    assert offered == models.guides() and "rank:lightness+warmth" not in offered
    spec = replace(read(), verifier="rank:lightness+warmth", observers=(), budget_flops=None)
    shown = dict(zip(settings.FIXED, layout._shown_values(models, spec), strict=False))
    assert ("Mean rank of lightness, warmth", "rank:lightness+warmth") in shown["verifier"]["choices"]
    assert shown["verifier"]["value"] == "rank:lightness+warmth" and shown["gflop"] == models.default_gflop


@pytest.mark.parametrize("prompt", strings.EXAMPLES)
def test_the_models_know_every_word_of_the_examples(prompt):
    found = captions.check(prompt)
    assert found.known and not found.unknown and not found.notes


def test_every_sentence_has_a_name_of_its_own():
    body = ast.parse(inspect.getsource(strings)).body
    lines = [line for line in body if isinstance(line, ast.Assign | ast.AnnAssign)]
    targets = [target for line in lines for target in getattr(line, "targets", None) or [line.target]]
    names = [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
    assert len(names) > 50 and sorted(names) == sorted(set(names))
