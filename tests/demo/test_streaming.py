"""Runs in threads, and what pages see of them: nothing depends on who watches."""

import asyncio
import time

import pytest

from core.search.errors import BadRequest
from core.search.events import Cancelled, Finished
from core.store.runs import RunStore
from demo import settings, streaming, strings
from demo.context import make_context
from demo.remote import follow, inspect
from tests.demo.test_settings import read
from tests.painted import painted_models


@pytest.fixture
def world(tmp_path):
    """(store, runner, library, context) of a world that takes its time."""
    context = make_context(painted_models(pause=0.03), RunStore(tmp_path / "runs"))
    yield context.store, context.runner, context.library, context
    context.runner.close()


def specs(**changes):
    return settings.plan(painted_models(), read(**changes)).specs


def wait(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def ask(context, **request):
    return asyncio.run(follow(context, request))


def test_a_comparison_runs_to_its_end_with_nobody_watching(world):
    store, runner, library, context = world
    run = runner.start(specs())
    wait(lambda: store.status(run) == "finished" and store.status(store.meta(run)["beside"]) == "finished")
    first, second = library.lanes(run)
    first.update(), second.update()
    assert isinstance(first.tree.end, Finished) and isinstance(second.tree.end, Finished)
    assert second.tree.spent.flops <= first.tree.spent.flops
    assert [frame["seq"] for frame in first.frames] == list(range(len(first.frames)))


def test_a_reader_that_follows_sees_what_a_late_one_sees(world):
    store, runner, library, context = world
    run = runner.start(specs())
    early, seen = library.reader(run), []
    while store.status(run) == "running":
        seen.append(len(early.update()))
    early.update()
    late = streaming.Reader(store, run)
    assert late.update() == early.frames
    assert len({*seen}) > 5, "the frames came one by one"


def test_stop_keeps_the_steps_so_far(world):
    store, runner, library, context = world
    run = runner.start(specs())
    wait(lambda: len(library.reader(run).update()) > 4)
    assert runner.stop(run)
    wait(lambda: store.status(run) != "running")
    reader = library.reader(run)
    assert len(reader.update()) > 4 and isinstance(reader.tree.end, Cancelled)
    assert not runner.stop("20000101-000000-00000000")


def test_a_page_is_told_its_place_in_line_and_how_long_that_takes(world, monkeypatch):
    store, runner, library, context = world
    monkeypatch.setattr("demo.runner.MAX_ACTIVE", 1)
    monkeypatch.setattr("demo.runner.MAX_WAITING", 4)
    runs = [runner.start(specs(seed=i), seconds=10) for i in range(4)]
    wait(lambda: runner.state(runs[0]) == "running")
    reply = ask(context, run=runs[2], since=[])
    assert reply["queue"]["place"] == 2 and 12 < reply["queue"]["seconds"] <= 20
    assert reply["live"] and reply["state"] == "waiting" and reply["head"]["prompt"] == "a red car"
    with pytest.raises(BadRequest, match="limit"):
        [runner.start(specs(seed=i)) for i in range(3)]


def test_frames_are_sent_from_where_the_page_left_off(world):
    store, runner, library, context = world
    run = runner.start(specs())
    wait(lambda: store.status(run) == "finished")
    whole = ask(context, run=run, since=[])
    rest = ask(context, run=run, since=[5, 3])
    assert [frame["seq"] for frame in rest["lanes"][0]["frames"]][0] == 5
    assert rest["lanes"][1]["frames"] == whole["lanes"][1]["frames"][3:]
    assert whole["head"]["steps"][:2] == ["prompt", "1x1"] and not whole["queue"]
    assert all(any(frame["nodes"] for frame in lane["frames"]) for lane in whole["lanes"])


def test_a_run_whose_server_died_is_shown_as_far_as_it_went(world):
    store, runner, library, context = world
    writer = store.create(specs()[0])
    writer.close()
    reply = ask(context, run=writer.run, since=[])
    assert not reply["live"] and reply["notice"] == strings.INTERRUPTED


@pytest.mark.parametrize("request_", [
    {"run": "../../../etc/passwd"}, {"run": "no-such-run-here"}, {"run": None}, {"run": {"a": 1}}, {"run": 7}, {},
    {"run": "x" * 10_000}, {"run": "no-such-run-here", "since": "all"}, {"since": [-1]}, {"since": [1, 2, 3]},
    {"since": [1.5]}, [], None, "frames", 3,
])
def test_forged_requests_for_frames_get_a_sentence(world, request_):
    context = world[3]
    for ask_for in (lambda: asyncio.run(follow(context, request_)), lambda: inspect(context, request_)):
        with pytest.raises(BadRequest) as told:
            ask_for()
        assert str(told.value) in (strings.UNKNOWN_RUN, strings.BAD_REQUEST)


@pytest.mark.parametrize("node", [-1, 10**9, "0", "0; drop", 1.0, None, True, [0], {"id": 0}])
def test_forged_node_ids_get_a_sentence(world, node):
    store, runner, library, context = world
    run = runner.start(specs())
    wait(lambda: store.status(run) == "finished")
    with pytest.raises(BadRequest) as told:
        inspect(context, {"run": run, "node": node})
    assert str(told.value) == strings.BAD_NODE
    assert inspect(context, {"run": run, "node": 0})["title"] == "Prompt"


def test_the_inspector_shows_what_a_verifier_answers_about_the_picture(world, monkeypatch):
    """Asked when a node is selected, not before; a node without a picture has nothing to ask about."""
    store, runner, library, context = world
    run = runner.start(specs())
    wait(lambda: store.status(run) == "finished")
    reader = library.reader(run)
    reader.update()
    best = reader.tree.best().id
    assert inspect(context, {"run": run, "node": best})["answers"] == []
    verifier, seen = runner.models.verifier("warmth"), []
    told = lambda prompt, images: seen.append((prompt, images.shape)) or [[("is it warm?", 0.75)]]  # noqa: E731
    monkeypatch.setattr(verifier, "answers", told, raising=False)
    assert inspect(context, {"run": run, "node": best})["answers"] == []  # while models load, nobody waits for them
    runner.models.ready.set()
    answers = inspect(context, {"run": run, "node": best})["answers"]
    assert [(row["text"], row["yes"]) for row in answers] == [("is it warm?", 0.75)]
    assert seen[0][0] == reader.tree.spec.prompt and seen[0][1][0] == 1 and seen[0][1][-1] == 3
    assert inspect(context, {"run": run, "node": 0})["answers"] == []


def test_a_verifier_that_failed_while_it_looked_on_is_named(world):
    store, runner, _, context = world
    observer = runner.models.verifier("lightness")
    observer.score = lambda *_: 1 / 0
    try:
        run = runner.start(specs()[:1])
        wait(lambda: store.status(run) == "finished")
    finally:
        del observer.score
    notice = ask(context, run=run)["notice"]
    assert "lightness failed during this run" in notice and "unscored" in notice
    plain = runner.start(specs()[:1])
    wait(lambda: store.status(plain) == "finished")
    assert ask(context, run=plain)["notice"] is None
