"""Once more and smaller: only where memory was too small, with all else as it was."""

from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from core.resume import resumed
from core.search.budget import Budget
from core.search.tree import Tree
from core.store.runs import RunStore
from demo import strings
from demo.jobs import compute, create
from demo.server import build_app
from demo.visitors import COOKIE, hashed
from tests.browser.serve import hungry
from tests.demo.test_routes import error_of
from tests.demo.test_settings import read
from tests.demo.test_streaming import wait
from tests.painted import painted_models

ME, OTHER = "a" * 32, "b" * 32


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path)


def client(store, visitor=ME):
    return TestClient(build_app(painted_models(), store, ()), cookies={COOKIE: visitor})


def kept(store, models, *specs, **marks):
    """The id of a run of mine that is over."""
    writers = create(store, specs, {"owner": hashed(ME), **marks})
    compute(models, specs, writers)
    for writer in writers:
        writer.close()
    return writers[0].run


def test_a_resumed_and_private_run_is_retried_as_one(store):
    parent = kept(store, painted_models(), read())
    node = next(node for node in Tree.of(store.load(parent)).nodes.values() if node.status == "pruned")
    spec = resumed(store, parent, node.id, "beam_search", {"width": 3, "branch": 5}, Budget())
    spec = replace(spec, chooser="person")   # whose choices would be lost: it does not begin anew by itself
    short = kept(store, hungry(painted_models()), spec, private=True)
    with client(store) as visitor:
        offered = visitor.get("/data/frames", params={"run": short}).json()
        assert offered["retry"] == "Retry with width 2"
        assert visitor.get("/data/frames", params={"run": parent}).json()["retry"] is None
        run = visitor.post("/data/retry", json={"run": short}).json()["run"]
        visitor.post("/data/choose", json={"run": run, "keep": None, "rest": True})
        wait(lambda: store.status(run) == "finished")
    again = store.load(run)[0].spec
    assert again == replace(spec, params={**again.params, "width": 2}) and again.params["branch"] == 5
    assert store.meta(run)["private"] is True and store.meta(run)["beside"] is None


def test_what_is_no_offer_is_refused(store):
    whole = kept(store, painted_models(), read())
    private = kept(store, hungry(painted_models()), read(), private=True)
    with client(store, OTHER) as visitor:
        assert error_of(visitor.post("/data/retry", json={"run": whole}), 400) == strings.NOT_RETRIED
        assert error_of(visitor.post("/data/retry", json={"run": private}), 404) == strings.UNKNOWN_RUN
        for forged in ("../../etc", 7, None, ["x"]):
            assert error_of(visitor.post("/data/retry", json={"run": forged}), 404) == strings.UNKNOWN_RUN
        assert error_of(visitor.post("/data/retry", json={}), 400) == strings.BAD_REQUEST
