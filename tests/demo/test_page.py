"""The server's own routes, and what the handlers of the page answer. No browser."""

from io import BytesIO

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from core.generators.registry import GENERATORS
from core.runs import RunStore
from core.search.strategies.registry import STRATEGIES
from core.verifiers.registry import VERIFIERS
from core.world import captions
from demo import layout, strings
from demo.embedded import STEPS, embedded_models
from demo.record import record
from demo.server import build_app
from demo.streaming import Library, Runner
from tests.demo.test_settings import DEFAULTS, read
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
    for name in ("page.css", "..%2fserver.py", "server.py"):
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
    wires = layout.Wires(models, Library([store, recorded]), Runner(store, models))
    stage, current, hint, *controls = layout._arrive(wires, None)
    assert stage["run"] == run and stage["replay"] and current == "" and text_of(hint) == strings.FIRST_VISIT
    stage, current, _, *controls = layout._arrive(wires, run)
    assert stage["run"] == current == run and not stage["replay"] and controls == DEFAULTS
    _, current, hint, *controls = layout._arrive(wires, "../../etc/passwd")
    assert current == "" and text_of(hint) == strings.UNKNOWN_RUN and len(controls) == len(DEFAULTS)
    wires.runner.close()


def test_a_request_that_cannot_run_starts_nothing_and_says_why(tmp_path):
    models, store = painted_models(), RunStore(tmp_path)
    models.warm()
    wires = layout.Wires(models, Library([store]), Runner(store, models))
    for values, words in [
        (["", *DEFAULTS[1:]], strings.EMPTY_PROMPT),
        (["xylograph", *DEFAULTS[1:]], strings.NO_KNOWN_WORD),
        ([*DEFAULTS[:3], 5, *DEFAULTS[4:]], "A budget of 5 GFLOP is too small"),
    ]:
        *_, hint, _ = layout._begin(wires, tuple(values))
        assert words in text_of(hint) and hint["lines"][0]["kind"] == "error"
    assert store.list() == []
    wires.runner.close()


def test_known_and_unknown_words_are_told_apart():
    hint = layout.known_words(painted_models(), "a red car and a bicyle ${7*6} <img>")
    kinds = {part["text"]: part["kind"] for part in hint["lines"][0]["parts"]}
    assert any("red, car" in text for text, kind in kinds.items() if kind == "strong")
    assert kinds["img"] == "unknown"
    assert layout.known_words(painted_models(), "  ") == {"lines": []}
    assert layout.known_words(painted_models(), None) == {"lines": []}


def test_settings_are_priced_as_they_change():
    models = painted_models()
    models.warm()
    assert "GFLOP" in text_of(layout.predicted(models, tuple(DEFAULTS[1:])))
    poor = layout.predicted(models, (*DEFAULTS[1:3], 30, *DEFAULTS[4:]))
    assert poor["lines"][0]["kind"] == "error" and "largest width that fits" in text_of(poor)


def test_only_the_chosen_strategys_parameters_are_shown():
    text, *groups = layout._show_parameters("greedy_tokens")
    assert [group["visible"] for group in groups] == [name == "greedy_tokens" for name in STRATEGIES]
    assert text == STRATEGIES["greedy_tokens"].description
    assert "unknown strategy" in layout._show_parameters(["x"])[0]


def test_everything_registered_has_a_name_on_the_page():
    assert set(strings.STRATEGY_NAMES) == set(strings.STRATEGY_SHORT) == set(STRATEGIES)
    assert set(strings.VERIFIER_NAMES) == set(VERIFIERS)
    assert set(strings.GENERATOR_NAMES) == set(GENERATORS)
    models = embedded_models()
    assert models.searcher in GENERATORS and models.baseline in GENERATORS and len(STEPS) == 6
    assert {name for strategy in STRATEGIES.values() for name in (p.name for p in strategy.params)} <= set(
        strings.PARAMETERS)


@pytest.mark.parametrize("prompt", strings.EXAMPLES)
def test_the_models_know_every_word_of_the_examples(prompt):
    found = captions.check(prompt)
    assert found.known and not found.unknown and not found.notes
