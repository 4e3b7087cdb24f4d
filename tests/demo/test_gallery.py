"""The gallery and the pages beside Explore: what they tell, who may see and change what. No browser."""

import json
import re
from dataclasses import replace
from urllib.parse import parse_qsl

import pytest
from fastapi.testclient import TestClient

from core.store.runs import RunStore
from core.world.captions import check
from demo import lesson_strings, settings, strings
from demo.jobs import compute, create
from demo.lesson_points import POINTS, trees_of
from demo.lessons import LESSONS, PROMPTS, RECIPES, read_lessons, told_lessons, weights
from demo.links import spec_of
from demo.record import record
from demo.server import build_app
from demo.streaming import Library
from demo.visitors import COOKIE, hashed
from tests.demo.test_settings import read
from tests.painted import painted_models

ME, OTHER = "a" * 32, "b" * 32


def made(store, visitor, private=False, **changes):
    """The ids of a comparison that a visitor started and that is over."""
    models = painted_models()
    specs = settings.plan(models, read(**changes)).specs
    writers = create(store, specs, {"owner": hashed(visitor), "private": private})
    compute(models, specs, writers)
    for writer in writers:
        writer.close()
    return [writer.run for writer in writers]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """(app, store, id of a recorded comparison)."""
    models, recorded = painted_models(), tmp_path_factory.mktemp("recorded")
    run, _ = record(models, RunStore(recorded), read())
    store = RunStore(tmp_path_factory.mktemp("runs"))
    return build_app(models, store, [recorded]), store, run


@pytest.fixture
def store(server):
    return server[1]


def client(server, visitor=ME):
    return TestClient(server[0], cookies={COOKIE: visitor})


def listed(server, visitor=ME, **query):
    return [card["run"] for card in client(server, visitor).get("/data/runs", params=query).json()["runs"]]


def error_of(reply, status):
    assert reply.status_code == status, reply.text
    return reply.json()["error"]


@pytest.mark.parametrize("name", [name for name in strings.PAGES if name != "explore"])
def test_every_page_has_the_bar_with_itself_marked(server, name):
    page = client(server).get(f"/{name}")
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    wanted = ("gallery", "true") if name == "compare" else (name, "page")
    assert re.findall(r'<a href="/(\w*)" aria-current="(\w+)">', page.text) == [wanted]
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for address in re.findall(r'(?:src|href)="(/page/[^"]+)"', page.text):
        assert client(server).get(address).status_code == 200, address


def test_the_list_holds_recorded_runs_and_my_own_and_nobody_elses(server, store):
    mine, theirs = made(store, ME)[0], made(store, OTHER)[0]
    assert listed(server) == [mine, server[2]]
    assert listed(server, OTHER) == [theirs, server[2]]
    assert listed(server, "c" * 32) == [server[2]]


def test_a_card_tells_what_the_run_was_and_how_it_ended(server):
    card = client(server).get("/data/runs").json()["runs"][-1]
    assert card["prompt"] == "a red car" and card["state"] == "done" and card["recorded"]
    assert card["beside"]["best"]["score"] and card["gflop"] > card["beside"]["gflop"] * 0.5
    assert client(server).get(card["best"]["image"]).status_code == 200
    assert card["settings"]["Strategy"] == "Beam search"


def test_all_words_must_be_there(server):
    assert server[2] in listed(server, q="RED beam")
    assert listed(server, q="red submarine") == []
    assert listed(server, q="x" * 5000) == []


def test_the_settings_of_a_card_are_an_address(server):
    card = client(server).get("/data/runs").json()["runs"][-1]
    query = dict(parse_qsl(card["link"].partition("?")[2]))
    assert spec_of(painted_models(), query).prompt == "a red car"


def test_only_the_owner_pins_and_deletes(server, store):
    run, beside = made(store, ME, seed="11")
    for path, body in (("/data/pin", {"run": run, "pinned": True}), ("/data/delete", {"run": run})):
        assert error_of(client(server, OTHER).post(path, json=body), 403) == strings.NOT_YOURS
        assert error_of(client(server).post(path, json=body | {"run": server[2]}), 403) == strings.NOT_YOURS
        assert error_of(client(server).post(path, json=body | {"run": "../../etc"}), 404) == strings.UNKNOWN_RUN
        assert error_of(client(server).post(path, json={}), 400) == strings.BAD_REQUEST
    assert store.has(run) and not store.info(run).pinned
    assert client(server).post("/data/pin", json={"run": run, "pinned": True}).json()["pinned"] is True
    assert [card["pinned"] for card in client(server).get("/data/runs").json()["runs"] if card["run"] == run] == [True]
    assert client(server).post("/data/delete", json={"run": run}).json() == {"deleted": [run, beside]}
    assert not store.has(run) and not store.has(beside) and run not in listed(server)


def test_what_is_pinned_must_be_said_with_true_or_false(server, store):
    run, _ = made(store, ME, seed="12")
    assert error_of(client(server).post("/data/pin", json={"run": run, "pinned": "yes"}), 400) == strings.BAD_REQUEST


def test_a_private_run_is_in_nobody_elses_comparison(server, store):
    run, _ = made(store, ME, private=True, seed="13")
    assert client(server).get("/data/compare", params={"runs": run}).status_code == 200
    assert error_of(client(server, OTHER).get("/data/compare", params={"runs": run}), 404) == strings.UNKNOWN_RUN
    assert run not in listed(server, OTHER)
    cards = {card["run"]: card["private"] for card in client(server).get("/data/runs").json()["runs"]}
    assert cards[run] is True and cards[server[2]] is False


def test_curves_grow_in_cost_and_score_and_end_at_what_was_spent(server):
    [card] = client(server).get("/data/compare", params={"runs": server[2]}).json()["runs"]
    assert len(card["lanes"]) == 2
    for lane in card["lanes"]:
        for currency in ("gflop", "nfe", "seconds"):
            costs = [point[currency] for point in lane["points"]] + [lane["end"][currency]]
            assert costs == sorted(costs) and costs[0] > 0
        scores = [point["score"] for point in lane["points"]]
        assert scores == sorted(scores)
        assert [point["scores"]["warmth"] for point in lane["points"]] == scores
    assert card["lanes"][0]["end"]["gflop"] == card["gflop"]


@pytest.mark.parametrize("count", [0, 5])
def test_from_one_to_four_runs_are_compared(server, count):
    reply = client(server).get("/data/compare", params={"runs": ",".join([server[2]] * count)})
    assert error_of(reply, 400) == strings.COMPARE_COUNT.format(count=count, most=4)


def test_a_run_that_is_being_written_is_not_deleted(tmp_path):
    store = RunStore(tmp_path)
    with pytest.raises(Exception, match="still being written"), store.create(read()) as writer:
        store.delete(writer.run)
    assert store.has(writer.run)
    assert store.delete(writer.run) == [writer.run] and not store.has(writer.run)
    assert list(tmp_path.iterdir()) == []


def test_about_names_every_model_and_its_weights(server):
    facts = client(server).get("/data/about").json()
    assert [model["key"] for model in facts["generators"]] == ["painter", "noisy"]
    assert {card["name"] for card in facts["cards"]} >= {"tokenizer", "next_scale", "flow", "judge"}
    assert all(card["command"] and len(card["sha256"]) == 64 for card in facts["cards"])


# -- lessons ----------------------------------------------------------------------------------------------------------


def test_there_are_six_lessons_and_their_sentences_are_filled_in():
    lessons = told_lessons(Library([RunStore(LESSONS, read_only=True)]))
    assert [lesson["name"] for lesson in lessons] == list(lesson_strings.LESSONS) and len(lessons) == 6
    for scene in (scene for lesson in lessons for scene in lesson["scenes"]):
        assert scene["title"] and scene["text"] and not re.search(r"[{}]", scene["title"] + scene["text"])


@pytest.mark.parametrize("name", RECIPES)
def test_the_recorded_runs_of_a_lesson_tell_its_point(name):
    """And its sentences name the figures of these very runs."""
    lesson = read_lessons()[name]
    told = POINTS[name](*trees_of(RunStore(LESSONS, read_only=True), lesson))
    assert told is not None, f"the runs of {name} do not show it any more: python -m demo.record --lessons"
    assert all(scene["values"].items() >= told.items() for scene in lesson["scenes"])


def test_runs_that_do_not_tell_a_point_are_refused():
    store, lessons = RunStore(LESSONS, read_only=True), read_lessons()
    greedy, again = trees_of(store, lessons["greedy"])
    kept = replace(greedy.nodes[again.spec.origin.node], status="kept")
    assert POINTS["greedy"](replace(greedy, nodes={**greedy.nodes, kept.id: kept}), again) is None
    beam, rival = trees_of(store, lessons["beam"])
    assert POINTS["beam"](rival, beam) is None and POINTS["beam"](beam, beam) is None
    first, second = trees_of(store, lessons["verifiers"])
    assert POINTS["verifiers"](second, first) is None and POINTS["verifiers"](first, first) is None
    ours, theirs = trees_of(store, lessons["matched"])
    dear = replace(theirs, spent=ours.spent * 2)
    assert POINTS["matched"](ours, ours) is None and POINTS["matched"](ours, dear) is None


def test_no_two_lessons_show_the_same_prompt_and_the_models_know_every_word():
    tried = [prompt for prompts in PROMPTS.values() for prompt in prompts]
    assert len(tried) == len(set(tried)) and PROMPTS.keys() == RECIPES.keys() == lesson_strings.LESSONS.keys()
    assert [prompt for prompt in tried if check(prompt).unknown or check(prompt).notes] == []
    shown = {name: lesson["prompt"] for name, lesson in read_lessons().items()}
    assert all(prompt in PROMPTS[name] for name, prompt in shown.items())


def test_every_scene_shows_a_node_that_is_there_by_then():
    store = RunStore(LESSONS, read_only=True)
    for scene in (scene for lesson in read_lessons().values() for scene in lesson["scenes"]):
        seen = [event for event in store.load(scene["run"]) if event.seq <= scene["seq"]]
        assert seen[-1].seq == scene["seq"]
        there = {node.id for event in seen for node in getattr(event, "nodes", ())}
        assert scene["node"] is None or scene["node"] in there


def test_the_lessons_were_recorded_with_the_weights_that_are_here():
    """Otherwise a visitor who tries a lesson's run would see another one: `python -m demo.record --lessons` again."""
    noted = json.loads((LESSONS / "lessons.json").read_text("utf-8"))["weights"]
    shown = ("tokenizer", "next_scale", "flow", "image_reward", "aesthetic")
    assert {name: noted[name] for name in shown} == {name: weights()[name] for name in shown}


def test_without_recordings_there_are_no_lessons(server, tmp_path):
    assert told_lessons(Library([RunStore(tmp_path)]), tmp_path) == []
    assert client(server).get("/data/lessons").json() == {"lessons": []}
