"""What programs ask, through the clients that they use: gradio_client and an MCP client."""

import asyncio
import json
import threading
import time

import pytest
import uvicorn
from gradio_client import Client
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from core.store.runs import RunStore
from demo import strings
from demo.jobs import create
from demo.server import build_app
from demo.visitors import hashed
from tests.browser.conftest import free_port
from tests.demo.test_settings import read
from tests.painted import painted_models

FAST = {"width": 2, "branch": 3, "look": "preview"}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """(address, store) of a running server."""
    store, port = RunStore(tmp_path_factory.mktemp("runs")), free_port()
    app = build_app(painted_models(pause=0.03), store, ())
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 60
    while not server.started:
        assert time.monotonic() < end
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}", store
    server.should_exit = True
    thread.join(timeout=15)


@pytest.fixture(scope="module")
def client(served):
    return Client(served[0], verbose=False)


def test_only_what_is_meant_for_programs_is_listed(client):
    found = client.view_api(return_format="dict")["named_endpoints"]
    assert set(found) == {"/search_tree", "/compare", "/get_run"}
    for endpoint in found.values():
        assert endpoint["description"] and all(param["label"] for param in endpoint["parameters"])


def test_a_search_streams_its_tree_and_can_be_read_afterwards(client, served):
    job = client.submit("a red car", parameters=FAST, seed=5, api_name="/search_tree")
    last = job.result(timeout=60)
    seen = [reply["nodes"] for reply in job.outputs()]
    assert len(seen) >= 3 and seen == sorted(seen)
    assert last["state"] == "done" and last["best"]["score"] and last["kept"] and last["pruned"]
    whole = client.predict(last["run"], api_name="/get_run")
    assert len(whole["nodes"]) == last["nodes"] and whole["prompt"] == "a red car" and whole["seed"] == 5
    assert served[1].status(last["run"]) == "finished"
    best = next(node for node in whole["nodes"] if node["id"] == last["best"]["node"])
    assert best["why"] and best["scores"]


def test_both_sides_of_a_comparison_stay_within_the_same_compute(client):
    last = client.submit("a red car", "zero_order", parameters=FAST, api_name="/compare").result(timeout=60)
    first, second = last["lanes"]
    assert first["best"] and second["best"] and second["gflop"] <= first["gflop"]
    assert "zero-order" in second["method"].lower()


@pytest.mark.parametrize("asked, words", [
    (("",), strings.EMPTY_PROMPT), (("a red car", "no_such"), "strategy"),
    (("a red car", "beam_search", "", "", 1e9), "budget"),
    (("a red car", "beam_search", "", "", 0, 7, {"width": 0}), "Width"),
    (("a red car", "beam_search", "", "", 0, 7, {"nothing": 1}), "no setting 'nothing'"),
])
def test_what_cannot_be_is_said_in_a_sentence(client, asked, words):
    with pytest.raises(AppError) as error:
        client.predict(*asked, api_name="/search_tree")
    assert words in str(error.value)


@pytest.mark.parametrize("run", ["", "../../etc/passwd", "no-such-run-here", "x" * 5000])
def test_an_unknown_run_gets_a_sentence(client, run):
    with pytest.raises(AppError, match="no run with this id"):
        client.predict(run, api_name="/get_run")


def test_a_private_run_is_not_for_programs_of_others(client, served):
    [writer] = create(served[1], [read()], {"owner": hashed("a" * 32), "private": True})
    writer.close()
    with pytest.raises(AppError, match="no run with this id"):
        client.predict(writer.run, api_name="/get_run")


def test_an_mcp_client_finds_the_tools_and_searches(served):
    async def use():
        async with (
            streamable_http_client(f"{served[0]}/gradio_api/mcp/") as (reading, writing, _),
            ClientSession(reading, writing) as session,
        ):
            await session.initialize()
            tools = {tool.name: tool for tool in (await session.list_tools()).tools}
            done = await session.call_tool("search_tree", {"prompt": "a red car", "parameters": FAST})
            return tools, done

    tools, done = asyncio.run(asyncio.wait_for(use(), 90))
    assert set(tools) == {"search_tree", "compare", "get_run"}
    assert "prompt" in tools["search_tree"].inputSchema["properties"]
    assert "tree of candidates" in tools["search_tree"].description
    told = json.loads(done.content[0].text)
    assert not done.isError and told["state"] == "done" and told["best"]["score"]
