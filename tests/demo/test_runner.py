"""Many searches, one thread: everyone's grows, nobody holds up another, and a person may take their time."""

import time
from dataclasses import replace

import pytest

from core.search.errors import BadRequest
from core.search.events import Asked, Cancelled, Expanded, Finished, Pruned
from core.search.tree import Tree
from core.store.runs import RunStore
from demo import runner as runner_module
from demo.limits import Buckets, Rate
from demo.runner import Runner
from demo.waiting import waits
from tests.demo.test_streaming import specs, wait
from tests.painted import painted_models


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path)


@pytest.fixture
def runner(store):
    made = Runner(store, painted_models(pause=0.01))
    yield made
    made.close()


def kinds(store, run):
    return [type(event) for event in store.load(run)]


def first(seed=0, **changes):
    """The searcher's spec alone."""
    return [replace(specs(seed=seed)[0], **changes)]


@pytest.fixture
def slow_runner(store):
    """So slow that all that is asked for at once has begun before much of it is done."""
    made = Runner(store, painted_models(pause=0.08))
    yield made
    made.close()


def test_all_searches_grow_before_any_is_over(store, slow_runner):
    runs = [slow_runner.start(specs(seed=seed)) for seed in range(3)]
    wait(lambda: any(store.status(run) != "running" for run in runs))
    assert min(kinds(store, run).count(Expanded) for run in runs) >= 4
    wait(lambda: all(store.status(run) == "finished" for run in runs))
    for seed, run in enumerate(runs):
        spec = store.load(run)[0].spec
        assert spec.seed == seed, "no two runs are mixed up"


def test_one_of_many_visitors_is_not_held_up_by_one_with_many_searches(store, runner):
    many = [runner.start(first(seed), "a" * 32) for seed in range(6)]
    alone = runner.start(first(9), "b" * 32)
    wait(lambda: store.status(alone) == "finished")
    assert sum(store.status(run) == "finished" for run in many) <= 1


def test_a_paused_run_stands_still_and_lets_others_on(store, runner):
    run = runner.start(first())
    wait(lambda: kinds(store, run).count(Pruned) == 1)
    assert runner.control(run, "pause") == "paused"
    time.sleep(0.2)
    kept = len(kinds(store, run))
    other = runner.start(first(1))
    wait(lambda: store.status(other) == "finished")
    assert len(kinds(store, run)) == kept and runner.state(run) == "paused"
    assert runner.control(run, "go") == "running"
    wait(lambda: store.status(run) == "finished")


def test_a_step_is_one_expansion_with_its_choice(store, runner):
    run = runner.start(first())
    runner.control(run, "pause")
    for choices in range(1, 4):
        before = kinds(store, run).count(Pruned)
        runner.control(run, "step")
        wait(lambda: runner.state(run) == "paused")
        found = kinds(store, run)
        assert found.count(Pruned) == before + 1 or choices == 1
        assert found[-1] is Pruned, "it rests when a choice is made"


def test_a_step_of_a_search_that_does_not_choose_is_one_expansion(store, runner):
    run = runner.start(first(strategy="random_search", params={"n": 4}))
    runner.control(run, "pause")
    wait(lambda: runner.state(run) == "paused")
    for _ in range(2):
        before = kinds(store, run).count(Expanded)
        runner.control(run, "step")
        wait(lambda: runner.state(run) == "paused")
    assert kinds(store, run).count(Expanded) == before + 1


def test_a_search_waits_for_its_person_without_holding_the_thread(store, runner):
    run = runner.start(first(chooser="person"))
    wait(lambda: runner.state(run) == "asking")
    other = runner.start(first(1))
    wait(lambda: store.status(other) == "finished")
    question = store.load(run)[-1]
    assert isinstance(question, Asked) and runner.state(run) == "asking"
    worst = list(question.candidates[-2:])
    runner.choose(run, worst, question.seq)
    wait(lambda: kinds(store, run).count(Asked) == 2)
    pruned = [event for event in store.load(run) if isinstance(event, Pruned)][0]
    assert list(pruned.kept) == worst and pruned.by == "person"
    with pytest.raises(BadRequest, match="no longer open"):
        runner.choose(run, worst, question.seq)
    runner.leave(run)
    wait(lambda: store.status(run) == "finished")


def test_what_a_person_takes_is_not_counted_as_the_runs_time(store, runner):
    run = runner.start(first())
    wait(lambda: kinds(store, run).count(Expanded) > 2)
    runner.control(run, "pause")
    time.sleep(1.5)
    runner.control(run, "go")
    wait(lambda: store.status(run) == "finished")
    assert store.load(run)[-1].seconds < 1.5


def test_a_pinned_node_survives(store, runner):
    run = runner.start(first(chooser="person"))
    wait(lambda: runner.state(run) == "asking")
    last = store.load(run)[-1].candidates[-1]
    runner.steer(run, last, "pin")
    runner.leave(run)
    wait(lambda: store.status(run) == "finished")
    tree = Tree.of(store.load(run))
    assert tree.nodes[last].status == "kept" and isinstance(tree.end, Finished)


def test_a_search_left_alone_too_long_ends(store, runner, monkeypatch):
    run = runner.start(first())
    runner.control(run, "pause")
    monkeypatch.setattr(runner_module, "PATIENCE", 0.1)
    wait(lambda: store.status(run) != "running")
    assert kinds(store, run)[-1] is Cancelled


def test_paused_searches_take_no_place_from_others(store, runner, monkeypatch):
    monkeypatch.setattr(runner_module, "MAX_ACTIVE", 2)
    monkeypatch.setattr(runner_module, "MAX_PARKED", 3)
    runs = [runner.start(first(seed)) for seed in range(6)]
    for run in runs:
        runner.control(run, "pause")
    last = runner.start(first(9))
    wait(lambda: store.status(last) == "finished")
    wait(lambda: [runner.state(run) for run in runs].count("paused") == 3)


def test_a_visitor_has_so_many_searches_at_a_time(runner, monkeypatch):
    monkeypatch.setattr(runner_module, "MAX_OWN", 2)
    [runner.start(first(seed), "a" * 32) for seed in range(2)]
    with pytest.raises(BadRequest, match="2 searches"):
        runner.start(first(3), "a" * 32)
    runner.start(first(3), "b" * 32)


@pytest.mark.parametrize("action", ["", "fly", None, 3, ["stop"], {"a": 1}, "x" * 10_000])
def test_what_is_no_action_gets_a_sentence(runner, action):
    run = runner.start(first())
    with pytest.raises(BadRequest, match="pause, step, go, stop") as error:
        runner.control(run, action)
    assert len(str(error.value)) < 200


def test_a_model_that_breaks_ends_its_own_run_only(store, tmp_path):
    models = painted_models()
    runner = Runner(store, models)
    broken = runner.start([replace(first()[0], generator="gone")])
    good = runner.start(first())
    wait(lambda: store.status(good) == "finished")
    assert store.status(broken) == "interrupted" and "gone" in runner.problems[broken]
    runner.close()


def test_in_a_line_for_one_worker_each_waits_for_all_before_it():
    assert waits([3], [5, 2, 4], 1) == [3, 8, 10]
    assert waits([], [5, 2], 4) == [0, 0]
    assert waits([1, 3], [9], 2) == [2]  # both go on at half speed until the first is over
    many = waits([2, 7, 4], [3] * 6, 3)
    assert many == sorted(many) and many[-1] < sum([2, 7, 4]) + 6 * 3


def test_a_bucket_lets_a_burst_through_and_then_one_at_a_time():
    now = [0.0]
    buckets = Buckets(Rate(burst=3, seconds=10), lambda: now[0])
    for _ in range(3):
        assert buckets.wait("me") == 0
        buckets.take("me")
    assert buckets.wait("me") == 10 and buckets.wait("you") == 0
    now[0] = 10
    assert buckets.wait("me") == 0
    buckets.take("me")
    now[0] = 1000
    assert buckets.wait("me", 3) == 0 and buckets.wait("me", 99) == 0


def test_whoever_leaves_the_line_does_not_wait_for_their_turn(store, runner, monkeypatch):
    monkeypatch.setattr(runner_module, "MAX_ACTIVE", 1)
    running, leaving, last = (runner.start(first(seed)) for seed in range(3))
    wait(lambda: runner.queue(running) is None)
    runner.control(leaving, "stop")
    wait(lambda: store.status(leaving) == "cancelled")
    assert store.status(running) == "running" and runner.queue(leaving) is None
    assert runner.queue(last)["place"] == 1
    assert kinds(store, leaving)[-1] is Cancelled and Expanded not in kinds(store, leaving)
