"""The server's own addresses: what a page fetches while it shows a run, and who may see what."""

import re

import pytest
from fastapi.testclient import TestClient

from core.store.runs import RunStore
from demo import strings
from demo.jobs import create
from demo.record import record
from demo.server import build_app
from demo.visitors import COOKIE, hashed
from tests.demo.test_settings import read
from tests.painted import painted_models


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """(app, store, id of a recorded comparison)."""
    models, recorded = painted_models(), tmp_path_factory.mktemp("recorded")
    run, _ = record(models, RunStore(recorded), read())
    store = RunStore(tmp_path_factory.mktemp("runs"))
    return build_app(models, store, [recorded]), store, run


@pytest.fixture
def client(server):
    """A visitor whom the server does not know yet."""
    return TestClient(server[0])


def error_of(reply, status):
    assert reply.status_code == status, reply.text
    assert set(reply.json()) == {"error"}
    return reply.json()["error"]


def test_frames_come_from_where_the_page_left_off(client, server):
    whole = client.get("/data/frames", params={"run": server[2]}).json()
    rest = client.get("/data/frames", params={"run": server[2], "since": "5,3"}).json()
    for lane, after, since in zip(whole["lanes"], rest["lanes"], (5, 3), strict=True):
        assert after["frames"] == lane["frames"][since:] and len(lane["frames"]) > since
    assert not whole["live"] and whole["head"]["prompt"] == "a red car"


def test_the_facts_of_a_node_are_fetched(client, server):
    facts = client.get("/data/inspect", params={"run": server[2], "node": 0}).json()
    assert facts["title"] == "Prompt"


@pytest.mark.parametrize("query, status, sentence", [
    ("run=no-such-run-here", 404, strings.UNKNOWN_RUN), ("run=../../etc/passwd", 404, strings.UNKNOWN_RUN),
    ("", 404, strings.UNKNOWN_RUN), ("run=" + "x" * 5000, 404, strings.UNKNOWN_RUN),
    ("run={run}&since=1;2", 400, strings.BAD_REQUEST), ("run={run}&since=-1", 400, strings.BAD_REQUEST),
    ("run={run}&since=1,2,3,4,5,6,7,8,9,10,11,12,13", 400, strings.BAD_REQUEST),
    ("run={run}&since=" + "9" * 3000, 400, strings.BAD_REQUEST),
])
def test_forged_questions_for_frames_get_a_sentence(client, server, query, status, sentence):
    assert error_of(client.get("/data/frames?" + query.format(run=server[2])), status) == sentence


@pytest.mark.parametrize("node", ["-1", "9999999", "0;drop", "1.0", "", "\u0661", "1e3", "9" * 4000, "0x1"])
def test_forged_nodes_get_a_sentence(client, server, node):
    reply = client.get("/data/inspect", params={"run": server[2], "node": node})
    assert error_of(reply, 400) in (strings.BAD_NODE, strings.BAD_REQUEST)


def test_a_visitor_is_known_again_by_a_cookie_that_scripts_cannot_read(client):
    first = client.get("/healthz").headers["set-cookie"]
    assert "HttpOnly" in first and "SameSite=Lax" in first
    assert "set-cookie" not in client.get("/healthz").headers
    client.cookies.set(COOKIE, "forged; <script>")
    assert "set-cookie" in client.get("/healthz").headers


def test_what_caches_may_share_brings_no_cookie(client, server):
    reply = client.get(f"/t/{server[2]}/1.jpg")
    assert reply.headers["cache-control"].startswith("public") and "set-cookie" not in reply.headers


def test_a_private_run_is_there_for_its_owner_alone(client, server):
    app, store, _ = server
    owner = "a" * 32
    [writer] = create(store, [read()], {"owner": hashed(owner), "private": True})
    writer.close()
    addresses = [f"/data/frames?run={writer.run}", f"/data/inspect?run={writer.run}&node=0", f"/t/{writer.run}/0.jpg"]
    seen = TestClient(app, cookies={COOKIE: owner})
    assert seen.get(addresses[0]).json()["run"] == writer.run
    unknown = client.get("/data/frames?run=20000101-000000-00000000").json()
    for address in addresses[:2]:
        assert client.get(address).json() == unknown
    assert client.get(addresses[2]).status_code == 404
    assert hashed(owner) not in client.get("/").text and owner not in str(store.meta(writer.run))


def test_only_the_owner_steers_a_run(client, server):
    app, store, recorded = server
    owner = "b" * 32
    [writer] = create(store, [read()], {"owner": hashed(owner)})
    writer.close()
    asked = {"run": writer.run, "action": "stop", "keep": [1], "node": 1}
    for address in ("/data/control", "/data/choose", "/data/steer"):
        assert error_of(client.post(address, json=asked), 403) == strings.NOT_YOURS
        assert error_of(client.post(address, json={**asked, "run": recorded}), 403) == strings.NOT_YOURS
        assert error_of(client.post(address, json={**asked, "run": "gone-gone-gone"}), 404) == strings.UNKNOWN_RUN
        mine = TestClient(app, cookies={COOKIE: owner}).post(address, json=asked)
        assert error_of(mine, 400) == strings.NOT_RUNNING


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"3", b"null", b"[" * 100_000, b"\xff\xfe", b'{"run": 1}'])
def test_what_is_not_understood_gets_a_sentence(client, body):
    assert error_of(client.post("/data/control", content=body), 400) == strings.BAD_REQUEST


def test_the_page_asks_for_every_script_it_will_need_and_each_is_there(client):
    asked = re.findall(r"<(/page/[\w.]+)>", client.get("/").headers["link"])
    assert "/page/plotly.min.js" in asked and "/page/tree_draw.js" in asked and len(asked) == len(set(asked))
    assert {client.get(address).status_code for address in asked} == {200}
    assert "link" not in client.get("/healthz").headers
