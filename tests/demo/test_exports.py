"""What can be handed out of a run, and what happens to what is handed in."""

import io
import json
import zipfile
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from core.search.events import Origin, Started
from core.store.result_png import spec_in, with_spec
from core.store.runs import RunStore
from demo import gate, strings
from demo.limits import Rate
from demo.record import record
from demo.server import build_app
from demo.visitors import Visitors
from tests.demo.test_settings import read
from tests.painted import painted_models

FILES = ("run.zip", "result.png", "replay.html", "replay.mp4", "replay.webp", "replay.gif")
PATHS = ["/data/share", *(f"/data/export/{name}" for name in FILES)]


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """(app, its store, id of a recorded comparison)."""
    models, recorded = painted_models(), tmp_path_factory.mktemp("recorded")
    run, _ = record(models, RunStore(recorded), read())
    store = RunStore(tmp_path_factory.mktemp("runs"))
    return build_app(models, store, [recorded], visitors=Visitors(Rate(1000, 0.1), Rate(1000, 0.1))), store, run


@pytest.fixture(scope="module")
def client(app):
    with TestClient(app[0]) as client:
        yield client


def ask(client, path, **params):
    return client.get(path, params=params)


def test_a_run_leaves_and_comes_back_as_the_visitors_own(app, client):
    _, store, run = app
    sent = ask(client, "/data/export/run.zip", run=run)
    assert sent.headers["content-type"] == "application/zip"
    assert sent.headers["content-disposition"] == f'attachment; filename="beamscope-{run}.zip"'
    assert zipfile.ZipFile(io.BytesIO(sent.content)).testzip() is None
    reply = client.post("/data/import", content=sent.content).json()
    assert reply["run"] != run and reply["href"] == f"/?run={reply['run']}"
    before, after = (ask(client, "/data/frames", run=id).json() for id in (run, reply["run"]))
    assert [lane["frames"] for lane in after["lanes"]] == [lane["frames"] for lane in before["lanes"]]
    assert store.meta(reply["run"])["owner"] and len(after["lanes"]) == 2
    picture = ask(client, f"/f/{run}/{before['lanes'][0]['frames'][-1]['best']['node']}.jpg").content
    assert ask(client, f"/f/{reply['run']}/{before['lanes'][0]['frames'][-1]['best']['node']}.jpg").content == picture


@pytest.mark.parametrize("whole", [False, True])
def test_a_bare_log_opens_too_with_grey_for_the_pictures_it_lacks(app, client, whole):
    _, store, run = app
    log = zipfile.ZipFile(io.BytesIO(ask(client, "/data/export/run.zip", run=run).content)).read("lanes/0/events.jsonl")
    content = json.dumps({"run": "any", "events": [json.loads(line) for line in log.splitlines()]}) if whole else log
    opened = client.post("/data/import", content=content).json()["run"]
    before, after = (ask(client, "/data/frames", run=id).json() for id in (run, opened))
    assert after["lanes"][0]["frames"] == before["lanes"][0]["frames"] and len(after["lanes"]) == 1
    assert after["notice"] == strings.PICTURELESS and before["notice"] is None
    best = after["lanes"][0]["frames"][-1]["best"]["node"]
    picture = Image.open(io.BytesIO(ask(client, f"/f/{opened}/{best}.jpg").content))
    assert len(picture.getcolors()) == 1
    for name in ("run.zip", "replay.html", "replay.gif", "result.png"):
        assert ask(client, f"/data/export/{name}", run=opened).status_code in (200, 400)


def test_a_result_leads_back_to_the_settings_that_made_it(app, client):
    run = app[2]
    png = ask(client, "/data/export/result.png", run=run)
    assert png.headers["content-type"] == "image/png" and spec_in(png.content) == read()
    href = client.post("/data/import", content=png.content).json()["href"]
    assert href == ask(client, "/data/share", run=run).json()["settings"]
    assert dict(parse_qsl(urlsplit(href).query))["p"] == read().prompt


@pytest.mark.parametrize("content", [
    b"", b"hello", b"PK\x03\x04" + b"x" * 100, b"\x89PNG\r\n\x1a\n" + b"x" * 100, b"<svg onload=alert(1)>", b"\0" * 999,
    b"{}", b'{"events": []}', b'{"events": [{}]}', b'{"events": [1, null]}', b'{"events": "x"}', b'{"kind": "started"}',
    b"{" * 100_000, b'{"v": 1, "kind": "started", "seq": 0}\n' * 3, b'{"events": [{"v": 1, "kind": "finished"}]}',
])
def test_what_is_neither_is_told(app, client, content):
    before = len(app[1].list())
    reply = client.post("/data/import", content=content)
    assert reply.status_code == 400 and set(reply.json()) == {"error"} and "Traceback" not in reply.text
    assert len(app[1].list()) == before


def test_a_result_of_another_program_is_told(client):
    from PIL import Image

    data = io.BytesIO()
    Image.new("RGB", (8, 8)).save(data, "PNG")
    assert "does not say how it was made" in client.post("/data/import", content=data.getvalue()).json()["error"]
    forged = with_spec(data.getvalue(), read()).replace(b'"seed": 7', b'"seed": -')
    assert "damaged" in client.post("/data/import", content=forged).json()["error"]


def test_a_large_upload_is_refused_before_it_is_all_there(client, monkeypatch):
    monkeypatch.setattr("demo.routes.exports.MAX_ARCHIVE", 1000)
    reply = client.post("/data/import", content=iter([b"x" * 600] * 3))
    assert reply.status_code == 400 and "too large" in reply.json()["error"]


def test_an_upload_that_goes_on_without_end_is_cut_off(client, monkeypatch):
    monkeypatch.setitem(gate.BODIES, "/data/import", 1000)
    reply = client.post("/data/import", content=iter([b"x" * 600] * 3))
    assert reply.status_code == 400 and "too large" in reply.json()["error"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("run", ["", "../../etc/passwd", "no-such-run-here", "x" * 5000, "<script>"])
def test_a_run_that_is_not_here_is_told(client, path, run):
    reply = ask(client, path, run=run)
    assert reply.status_code == 404 and reply.json() == {"error": strings.UNKNOWN_RUN}


@pytest.mark.parametrize("path", PATHS)
def test_a_private_run_of_somebody_else_does_not_exist(app, client, path):
    from demo.visitors import hashed

    with app[1].create(read(), marks={"owner": hashed("0" * 32), "private": True}) as writer:
        pass
    reply = ask(client, path, run=writer.run)
    assert reply.status_code == 404 and reply.json() == {"error": strings.UNKNOWN_RUN}


def test_all_files_of_a_run_that_is_over_are_offered_and_made(app, client):
    kinds = {"run.zip": b"PK", "result.png": b"\x89PNG", "replay.html": b"<!DOCTYPE html>", "replay.webp": b"RIFF"}
    offered = ask(client, "/data/share", run=app[2]).json()["files"]
    assert set(offered) == set(FILES)
    for name in offered:
        reply = ask(client, f"/data/export/{name}", run=app[2])
        assert reply.status_code == 200 and len(reply.content) > 10_000
        assert reply.content.startswith(kinds.get(name, reply.content[:4]))
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "attachment" in reply.headers["content-disposition"]


def test_before_the_first_image_only_what_is_there_is_offered(app, client):
    with app[1].create(read()) as writer:
        assert "Nothing of this run" in ask(client, "/data/share", run=writer.run).json()["error"]
        writer.append(Started(seq=0, seconds=0.0, spec=read(), num_steps=1, step_labels=("1x1",)))
        assert "result.png" not in ask(client, "/data/share", run=writer.run).json()["files"]
        for name in ("replay.html", "replay.webp", "run.zip"):
            assert ask(client, f"/data/export/{name}", run=writer.run).status_code == 200
        assert "no finished image" in ask(client, "/data/export/result.png", run=writer.run).json()["error"]


def test_settings_that_do_not_give_the_run_again_are_no_link(app, client):
    """A run that goes on from a node of another begins where no settings lead."""
    origin = Origin("20261123-000000-00000000", 3, 1, "AA==", (1,), {})
    with app[1].create(read()) as writer:
        spec = replace(read(), origin=origin)
        writer.append(Started(seq=0, seconds=0.0, spec=spec, num_steps=6, step_labels=("x",) * 6))
    shared = ask(client, "/data/share", run=writer.run).json()
    assert shared["settings"] is None and "run.zip" in shared["files"]
