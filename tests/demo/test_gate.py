"""What a request passes before anything else: password, limits of size and pace. And what a search may be asked for."""

import asyncio
import time

import pytest
from fastapi.testclient import TestClient

from core.store.runs import RunStore
from demo import settings, strings
from demo.gate import BODIES, USUAL_BODY
from demo.limits import Rate
from demo.server import build_app
from demo.visitors import COOKIE, VisitorMiddleware, Visitors
from tests.demo.test_routes import error_of
from tests.painted import painted_models

ADDRESSES = [
    "/", "/healthz", "/readyz", "/gallery", "/config", "/page/stage.js", "/page/page.css", "/data/runs",
    "/data/frames?run=x", "/t/20000101-000000-00000000/0.jpg", "/gradio_api/info", "/gradio_api/startup-events",
]  # fmt: skip


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    """An app with a password."""
    return build_app(painted_models(), RunStore(tmp_path_factory.mktemp("runs")), password="sésame")


@pytest.fixture(scope="module")
def open_app(tmp_path_factory):
    """An app where a visitor may start three searches, and then one a minute."""
    models = painted_models()
    pace = Visitors(Rate(3, 60), Rate(100, 1))
    app = build_app(models, RunStore(tmp_path_factory.mktemp("runs")), (), visitors=pace)
    with TestClient(app):
        yield app


@pytest.mark.parametrize("address", ADDRESSES)
def test_without_the_password_nothing_is_there(closed, address):
    reply = TestClient(closed).get(address)
    assert reply.status_code == 401 and "Basic" in reply.headers["www-authenticate"]
    assert "set-cookie" not in reply.headers
    known = TestClient(closed).get(address, auth=("anybody", "sésame"))
    assert known.status_code != 401


@pytest.mark.parametrize("header", [
    "Basic", "Basic !!!", "Basic c2VzYW1l", "Bearer sésame".encode(), "Basic " + "A" * 9999,
])
def test_a_wrong_password_is_refused_and_guesses_are_few(tmp_path, header):
    client = TestClient(build_app(painted_models(), RunStore(tmp_path), password="sésame"))
    seen = [client.get("/healthz", headers={"authorization": header}).status_code for _ in range(12)]
    assert set(seen[:10]) == {401} and set(seen) <= {401, 429}
    if isinstance(header, str):
        assert seen[-1] == 429


def test_what_is_too_large_is_not_taken(open_app):
    client = TestClient(open_app)
    assert "256 KiB" in error_of(client.post("/data/search", content=b"x" * (USUAL_BODY + 1)), 413)
    assert client.post("/gradio_api/upload", content=b"x" * (USUAL_BODY + 1)).status_code == 413
    large = client.post("/data/import", content=b"x" * (USUAL_BODY + 1))
    assert large.status_code == 400 and BODIES["/data/import"] > USUAL_BODY


def test_a_search_is_started_by_name_with_the_usual_settings(open_app):
    client = TestClient(open_app)
    run = client.post("/data/search", json={"prompt": "a red car", "width": 2, "branch": 3, "seed": 5}).json()["run"]
    end = time.monotonic() + 20
    while (reply := client.get("/data/frames", params={"run": run}).json())["live"]:
        assert time.monotonic() < end
    assert reply["own"] and len(reply["lanes"]) == 2 and "width 2, branch 3" in reply["head"]["method"]
    assert not TestClient(open_app).get("/data/frames", params={"run": run}).json()["own"]
    alone = client.post("/data/search", json={"prompt": "a red car", "baseline": "off", "private": True}).json()["run"]
    assert len(client.get("/data/frames", params={"run": alone}).json()["lanes"]) == 1
    assert error_of(TestClient(open_app).get("/data/frames", params={"run": alone}), 404) == strings.UNKNOWN_RUN


def test_who_starts_too_many_searches_is_told_when_the_next_one_can_begin(open_app):
    client = TestClient(open_app, cookies={COOKIE: "c" * 32})
    asked = {"prompt": "a red car", "baseline": "off", "strategy": "random_search", "n": 1}
    for _ in range(3):
        assert client.post("/data/search", json=asked).status_code == 200
    told = error_of(client.post("/data/search", json=asked), 429)
    assert "60 s" in told or "59 s" in told
    assert TestClient(open_app, cookies={COOKIE: "d" * 32}).post("/data/search", json=asked).status_code == 200


def test_a_program_without_cookies_is_known_by_its_address_and_a_browser_beside_it_is_not(tmp_path):
    """Nor does what it started belong to whoever comes from there."""
    app = build_app(painted_models(), RunStore(tmp_path), (), visitors=Visitors(Rate(3, 60), Rate(100, 1)))
    asked = {"prompt": "a red car", "baseline": "off", "strategy": "random_search", "n": 1, "private": True}
    with TestClient(app):
        def call(address="10.0.0.1", **cookies):
            return TestClient(app, client=(address, 5000), cookies=cookies).post("/data/search", json=asked)

        runs = [call().json()["run"] for _ in range(3)]
        assert "next one can begin in" in error_of(call(), 429)
        assert call("10.0.0.2").status_code == 200, "another address"
        assert call(**{COOKIE: "a" * 32}).status_code == 200, "a browser at the same address"
        stranger = TestClient(app, client=("10.0.0.1", 5001))
        assert error_of(stranger.get("/data/frames", params={"run": runs[0]}), 404) == strings.UNKNOWN_RUN


@pytest.mark.parametrize("path, told", [("/gradio_api/mcp/", b"10.0.0.1"), ("/data/search", b"6.6.6.6")])
def test_a_tool_is_called_on_the_account_of_who_really_called_it(path, told):
    """Gradio hands the headers on to this server itself, which believes what it says."""
    seen = []

    async def inner(scope, receive, send):
        seen.extend(value for name, value in scope["headers"] if name == b"x-forwarded-for")

    scope = {"type": "http", "path": path, "client": ("10.0.0.1", 5), "headers": [(b"x-forwarded-for", b"6.6.6.6")]}
    asyncio.run(VisitorMiddleware(inner)(scope, None, None))
    assert seen == [told]


@pytest.mark.parametrize("changes, words", [
    ({"prompt": ""}, strings.EMPTY_PROMPT.lower()), ({"prompt": "x" * 10_000}, "10000 characters"),
    ({"prompt": "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 3000}, "characters"),
    ({"prompt": "\u202e\x00\x1b\n\t\x7f"}, "type a prompt"),
    ({"prompt": ["a red car"]}, ""), ({"prompt": {"a": 1}}, ""), ({"prompt": 3}, ""),
    ({"gflop": -1}, "budget"), ({"gflop": 1e30}, "budget"), ({"gflop": "x" * 10_000}, "budget"),
    ({"gflop": []}, "budget"),
    ({"seed": -1}, "seed"), ({"seed": 2**80}, "seed"), ({"seed": "7; drop"}, "seed"), ({"seed": True}, "seed"),
    ({"width": 0}, "width"), ({"width": 1e9}, "width"), ({"width": "wide"}, "width"), ({"branch": 10**6}, "branch"),
    ({"strategy": "../../etc"}, "strategy"), ({"strategy": {"a": 1}}, "strategy"), ({"model": "gone"}, "generator"),
    ({"verifier": "rank:"}, ""), ({"verifier": "x" * 10_000}, ""), ({"judge": "gone"}, "verifier"),
    ({"baseline": "beam_search"}, "baseline"), ({"baseline": 7}, "baseline"), ({"private": "yes"}, "private"),
    ({"chooser": "nobody"}, "chooser"), ({"finalists": 99}, "finalists"), ({"__class__": 1}, "__class__"),
    ({"nothing": 1}, "no setting 'nothing'"),
])  # fmt: skip
def test_what_cannot_be_is_refused_in_a_sentence_and_starts_nothing(open_app, changes, words):
    client = TestClient(open_app)
    told = error_of(client.post("/data/search", json={"prompt": "a red car", **changes}), 400)
    assert words in told.lower() and len(told) < 600
    assert client.get("/data/runs").json()["runs"] == []


def test_of_a_prompt_only_what_can_be_seen_is_kept():
    family = "\U0001f468\u200d\U0001f469"
    assert settings.read_prompt(f" a\x00 \u202ered\x1b[31m \n car\ud800 {family} ") == f"a red[31m car {family}"


def test_what_runs_beside_a_search_is_what_the_baseline_can_do():
    models = painted_models()
    names = ("random_search", "zero_order", "search_over_paths")
    assert settings.baselines(models) == dict.fromkeys(names, "noisy")
