"""A GPU that is lent call by call: one call is one comparison, paid by its visitor, and it leaves the same run.

The package `spaces` is played by a stub that does what counts: arguments and results are pickled, as between processes.
"""

import pickle
import sys
import threading
from dataclasses import replace
from types import ModuleType

import pytest
from fastapi.testclient import TestClient

from core.registry import Entry, Needs
from core.search.events import Cancelled, Finished
from core.store.runs import RunStore
from demo import strings, zero_gpu
from demo.jobs import compute, create
from demo.server import build_app
from tests.demo.test_routes import error_of
from tests.demo.test_streaming import wait
from tests.painted import SCALES_ABILITIES, Painter, painted_models

ASKED = {"prompt": "a dog", "model": "giant", "baseline": "off", "gflop": 60}


class Spaces(ModuleType):
    """`calls`: (seconds, who asked) of every call; `pause`: set to let calls go on."""

    def __init__(self):
        super().__init__("spaces")
        self.calls, self.problem, self.go = [], None, threading.Event()
        self.go.set()

    def GPU(self, duration):
        def decorated(task):
            def call(*args):
                from gradio.context import LocalContext

                self.calls.append((duration(*args), LocalContext.request.get(None)))
                if self.problem:
                    raise RuntimeError(self.problem)
                for result in task(*pickle.loads(pickle.dumps(args))):
                    yield pickle.loads(pickle.dumps(result))
                    self.go.wait(20)

            return call

        return decorated


@pytest.fixture
def spaces(monkeypatch):
    stub = Spaces()
    monkeypatch.setitem(sys.modules, "spaces", stub)
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setenv("BEAMSCOPE_DEVICE", "")   # what the call sets is undone
    monkeypatch.setattr(zero_gpu, "_call", None)
    monkeypatch.setattr(zero_gpu, "_models", None)
    return stub


def with_giant():
    models = painted_models()
    giant = Entry("Paints on a GPU", lambda: Painter("giant"), SCALES_ABILITIES, needs=Needs(parameters=1e9))
    return replace(models, generators={**models.generators, "giant": giant})


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path)


@pytest.fixture
def client(spaces, store):
    models = with_giant()
    zero_gpu.start(models)
    with TestClient(build_app(models, store, ())) as client:
        wait(lambda: client.get("/readyz").status_code == 200)
        yield client


def begun(client, **changes):
    reply = client.post("/data/search", json=ASKED | changes)
    assert reply.status_code == 200, reply.text
    return reply.json()["run"]


def test_one_call_is_one_run_and_it_is_the_same_as_anywhere(client, spaces, store):
    run = begun(client)
    wait(lambda: store.status(run) == "finished")
    [(seconds, request)] = spaces.calls
    assert zero_gpu.LOADING <= seconds <= zero_gpu.MOST and "user-agent" in request.headers
    spec, models, other = store.load(run)[0].spec, with_giant(), RunStore(store.root.parent / "other")
    writers = create(other, [spec])
    compute(models, [spec], writers)
    writers[0].close()
    timeless = [[{**event.to_json(), "seconds": 0, "cost": {**event.cost.to_json(), "seconds": 0}} for event in log]
                for log in (store.load(run), other.load(writers[0].run))]
    assert timeless[0] == timeless[1]


def test_what_needs_no_gpu_takes_none(client, spaces, store):
    run = begun(client, model="painter")
    wait(lambda: store.status(run) == "finished")
    assert not spaces.calls


def test_what_cannot_be_one_call_is_refused(client, spaces, monkeypatch):
    person = client.post("/data/search", json=ASKED | {"chooser": "person"})
    assert error_of(person, 400) == strings.NO_PERSON_ON_GPU
    monkeypatch.setenv("BEAMSCOPE_GPU_SECONDS", "20")
    assert "lent for at most 20 s" in error_of(client.post("/data/search", json=ASKED), 400)
    assert not spaces.calls


def test_others_are_served_while_the_gpu_is_waited_for_and_a_call_can_be_stopped(client, spaces, store):
    spaces.go.clear()
    long, short = begun(client), begun(client, model="painter")
    wait(lambda: store.status(short) == "finished")
    assert store.status(long) == "running"
    client.post("/data/control", json={"run": long, "action": "stop"})
    spaces.go.set()
    wait(lambda: store.status(long) != "running")
    assert isinstance(store.load(long)[-1], Cancelled) and isinstance(store.load(short)[-1], Finished)


def test_a_gpu_that_is_refused_is_told(client, spaces, store):
    spaces.problem = "You have exceeded your GPU quota"
    run = begun(client)
    wait(lambda: store.status(run) != "running")
    notice = client.get("/data/frames", params={"run": run}).json()["notice"]
    assert notice == "The GPU did not finish this search: You have exceeded your GPU quota"


def test_elsewhere_nothing_is_imported_or_lent(monkeypatch):
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    monkeypatch.setattr(zero_gpu, "_call", None)
    zero_gpu.start(with_giant())
    assert zero_gpu._call is None
