"""What all stored runs together say, and going on from a node: by the routes that a page uses."""

import time

import pytest
from fastapi.testclient import TestClient

from core.search.search import Search
from core.search.tree import Tree
from core.store.runs import RunStore
from demo import strings
from demo.jobs import create
from demo.record import record, record_resumed
from demo.server import RECORDED, build_app
from demo.visitors import COOKIE, hashed
from tests.demo.test_routes import error_of
from tests.demo.test_settings import read
from tests.painted import painted_models

OWNER, OTHER = "a" * 32, "b" * 32


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """(app, store, id of a recorded run, its tree)."""
    models, recorded = painted_models(), tmp_path_factory.mktemp("recorded")
    run = record(models, RunStore(recorded), read())[0]
    store = RunStore(tmp_path_factory.mktemp("runs"))
    return build_app(models, store, [recorded]), store, run, Tree.of(RunStore(recorded).load(run))


@pytest.fixture(scope="module")
def client(server):
    with TestClient(server[0], cookies={COOKIE: OWNER}) as visitor:   # the models are being loaded
        yield visitor


@pytest.fixture
def stranger(server, client):
    return TestClient(server[0], cookies={COOKIE: OTHER})


def pruned_node(tree, step=2):
    return next(node for node in tree.nodes.values() if node.step == step and node.status == "pruned")


def finished(server, client, run):
    """The tree of a run, once it is over."""
    for _ in range(600):
        frames = client.get("/data/frames", params={"run": run}).json()
        if not frames["live"]:
            return Tree.of(server[1].load(run))
        time.sleep(0.05)
    raise AssertionError(f"run {run} does not end")


def searched(store, seed, private):
    """The id of a run of the owner's that is over."""
    models, spec = painted_models(), read(seed=seed)
    [writer] = create(store, [spec], {"owner": hashed(OWNER), "private": private})
    with writer:
        for event in Search(models.generator("painter"), models.verifiers_of(spec), spec).run():
            writer.append(event)
    return writer.run


def test_what_going_on_costs_is_said_first_and_kept_to(server, client):
    _, store, run, tree = server
    node = pruned_node(tree)
    offer = client.get("/data/resume", params={"run": run, "node": node.id}).json()
    assert offer["strategy"] == "beam_search" and offer["params"] == dict(tree.spec.params)
    assert offer["winner"] == tree.end.score and offer["gflop"] <= offer["budget"] < offer["gflop"] + 0.02
    child = client.post("/data/resume", json={"run": run, "node": node.id}).json()["run"]
    grown = finished(server, client, child)
    assert grown.spent.flops / 1e9 <= offer["gflop"] + 1e-6
    assert (grown.spec.origin.run, grown.spec.origin.node) == (run, node.id)
    assert grown.nodes[0].state == node.state and store.meta(child)["owner"] == hashed(OWNER)
    assert grown.spec.observers == ("lightness",) and store.meta(child)["beside"] is None


def test_another_strategy_and_budget_are_sized(server, client):
    _, _, run, tree = server
    node = pruned_node(tree, 3)
    asked = {"run": run, "node": node.id, "strategy": "random_search", "budget": 12.5}
    offer = client.get("/data/resume", params=asked).json()
    assert offer["strategy"] == "random_search" and offer["params"]["n"] > 1 and offer["gflop"] <= 12.5
    names = [one["name"] for one in offer["strategies"]]
    assert "zero_order" not in names and "beam_search" in names, "those that begin with the prompt are not offered"
    grown = finished(server, client, client.post("/data/resume", json=asked).json()["run"])
    assert grown.spec.params == offer["params"] and grown.spent.flops <= 12.5e9


@pytest.mark.parametrize("change, status, sentence", [
    ({"node": 99999}, 400, strings.BAD_NODE), ({"node": -1}, 400, strings.BAD_NODE), ({"node": "1"}, 400, None),
    ({"node": None}, 400, None), ({"node": True}, 400, None), ({"run": "no-such-run-here"}, 404, strings.UNKNOWN_RUN),
    ({"run": ["x"]}, 404, strings.UNKNOWN_RUN), ({"strategy": "dream"}, 400, None),
    ({"strategy": "zero_order"}, 400, None), ({"strategy": {}}, 400, None), ({"budget": -1}, 400, None),
    ({"budget": 1e9}, 400, None), ({"budget": "much"}, 400, None), ({"budget": True}, 400, None),
    ({"budget": 0.01}, 400, None),
])  # fmt: skip
def test_impossible_requests_get_a_sentence(server, client, change, status, sentence):
    asked = {"run": server[2], "node": pruned_node(server[3]).id, **change}
    said = error_of(client.post("/data/resume", json=asked), status)
    assert (said == sentence if sentence else said[0].isupper()) and "Traceback" not in said


def test_a_finished_node_says_why_nothing_can_grow_from_it(server, client):
    leaf = server[3].best().id
    for reply in (client.get("/data/resume", params={"run": server[2], "node": leaf}),
                  client.post("/data/resume", json={"run": server[2], "node": leaf})):
        assert error_of(reply, 400) == strings.FINISHED_NODE


def test_regrets_are_of_own_and_recorded_runs_and_agree_with_the_trees(server, client, stranger):
    run = server[2]
    child = client.post("/data/resume", json={"run": run, "node": pruned_node(server[3], 1).id}).json()["run"]
    grown = finished(server, client, child)
    points = client.get("/data/regret").json()["points"]
    [mine] = [point for point in points if point["run"] == child]
    assert mine["value"] == pytest.approx(grown.regret()) and mine["pruned"] and mine["parent"] == run
    assert mine["score"] == pruned_node(server[3], 1).score and mine["winner"] == server[3].end.score
    assert child not in [point["run"] for point in stranger.get("/data/regret").json()["points"]]


def test_reliability_grows_with_every_run_and_leaves_out_what_others_keep_to_themselves(server, client, stranger):
    _, store, run, _ = server
    before = client.get("/data/reliability", params={"run": run}).json()
    assert before["labels"] == list(server[3].step_labels) and before["pending"] == 0
    searched(store, seed="11", private=False)
    searched(store, seed="12", private=True)
    mine, theirs = (one.get("/data/reliability", params={"run": run}).json() for one in (client, stranger))
    assert mine["runs"] == before["runs"] + 2 and theirs["runs"] == before["runs"] + 1
    pairs = [sum(at["pairs"] for at in found["steps"]) for found in (before, theirs, mine)]
    assert pairs == sorted(pairs)
    for at in mine["steps"]:
        assert -1 <= at["correlation"] <= 1 and at["label"] == server[3].step_labels[at["step"] - 1]


def test_reliability_of_an_unknown_run_is_refused(client):
    assert error_of(client.get("/data/reliability", params={"run": "../x"}), 404) == strings.UNKNOWN_RUN


def test_a_run_that_goes_on_from_a_private_one_is_private(server, client, stranger):
    _, store, _, _ = server
    run = searched(store, seed="21", private=True)
    child = client.post("/data/resume", json={"run": run, "node": 1}).json()["run"]
    assert store.meta(child)["private"] is True
    for path in ("/data/resume", "/data/reliability"):
        reply = stranger.get(path, params={"run": run, "node": 1})
        assert error_of(reply, 404) == strings.UNKNOWN_RUN
    finished(server, client, child)


def test_a_recorded_run_goes_on_from_the_closest_call_it_pruned_and_shows_its_regret(tmp_path):
    models, store = painted_models(), RunStore(tmp_path)
    run, _ = record(models, store, read())
    tree, again = Tree.of(store.load(run)), Tree.of(store.load(record_resumed(models, store, run)))
    node = tree.nodes[again.spec.origin.node]
    rivals = [other for other in tree.nodes.values() if other.step == node.step and other.status == "pruned"]
    assert node.step == 3 and node.status == "pruned" and node.rank == min(rival.rank for rival in rivals)
    assert again.regret() is not None and len(again.nodes) <= 16
    flat, _ = record(models, store, read(strategy="random_search"))
    assert record_resumed(models, store, flat) is None, "all are finished when the first is pruned"


def test_a_first_visit_finds_a_regret_among_the_recorded_runs():
    store = RunStore(RECORDED, read_only=True)
    again = [tree for tree in (Tree.of(store.load(run)) for run in store.ids()) if tree.spec.origin]
    assert again and all(store.has(tree.spec.origin.run) and tree.regret() is not None for tree in again)
    assert sum(info.bytes for info in store.list()) < 8 * 2**20
