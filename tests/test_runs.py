"""The run store: what was acknowledged is there. Killed writers, full disks and the cap have tests of their own."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.search.errors import BadRequest
from core.search.events import Failed, Improved, Judged, Started, WithImages
from core.search.search import Search
from core.search.tree import Tree
from core.store.runs import RunStore
from tests.test_search import log_of, spec_of, verifiers
from tests.toy import ToyGenerator

ROOT = Path(__file__).parents[1]
WRITE = """
import sys
from core.store.runs import RunStore
from core.search.search import Search
from tests.test_search import spec_of, verifiers
from tests.toy import ToyGenerator

store, spec = RunStore(sys.argv[1], cap_bytes=0), spec_of("beam_search", {"look": "rollout"})
with store.create(spec) as writer:
    store.pin(writer.run)
    print(writer.run, flush=True)
    sys.stdin.readline()
    for event in Search(ToyGenerator(), verifiers(), spec).run():
        writer.append(event)
        store.prune()
store.create(spec).close()   # not pinned: it makes room for the next
"""


def stored(root, strategy="beam_search", beside=None, **params):
    """A store with one run in it, the run's id, and its live events."""
    store, spec = RunStore(root), spec_of(strategy, params)
    events = list(Search(ToyGenerator(), verifiers(), spec).run())
    with store.create(spec, beside) as writer:
        for event in events:
            writer.append(event)
    return store, writer.run, events


def child(root):
    """Another process that stores a pinned run, and prunes after every event; it waits for a line to begin."""
    command = [sys.executable, "-c", WRITE, str(root)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_stored_run_is_the_live_run(tmp_path):
    store, run, events = stored(tmp_path)
    assert log_of(store.load(run)) == log_of(events)
    assert store.load(run)[-1].seconds == events[-1].seconds
    assert Tree.of(store.load(run)) == Tree.of(events)
    assert store.status(run) == "finished" and store.meta(run)["title"] == "digits"


def test_nothing_in_the_log_names_the_run_or_the_hour(tmp_path):
    store, run, _ = stored(tmp_path)
    log = (store.folder(run) / "events.jsonl").read_text()
    assert run not in log and store.meta(run)["created"][:10] not in log


def test_pictures_are_there_as_the_verifier_saw_them(tmp_path):
    store, run, events = stored(tmp_path, look=3)
    pictures = [(node, event.image_kind, image) for event in events if isinstance(event, WithImages)
                for node, image in event.images.items()]
    assert {kind for _, kind, _ in pictures} == {"preview", "look", "final"}
    for node, kind, image in pictures:
        read = np.asarray(Image.open(io.BytesIO(store.image(run, node, kind))))
        assert read.shape == image.shape and np.abs(read.astype(int) - image).max() < 24


def test_the_best_image_is_kept_without_loss(tmp_path):
    store, run, events = stored(tmp_path)
    finals = {node: image for event in events if isinstance(event, WithImages) and event.image_kind == "final"
              for node, image in event.images.items()}
    best = [event.node for event in events if isinstance(event, Improved)][-1]
    assert (np.asarray(Image.open(store.best_image(run, best))) == finals[best]).all()


def test_the_image_a_judge_chose_is_kept_without_loss(tmp_path):
    """It need not be one that the guide ever found to be the best."""
    images = {node: np.full((4, 4, 3), 40 * node, np.uint8) for node in (1, 2)}
    store = RunStore(tmp_path)
    with store.create(spec_of("random_search", {"n": 3})) as writer:
        writer.append(Judged(seq=0, seconds=0.0, images=images, judge="dear", scores={1: 0.0, 2: 1.0}, node=2))
    assert (np.asarray(Image.open(store.best_image(writer.run, 2))) == images[2]).all()
    assert not store.best_image(writer.run, 1).exists()


@pytest.mark.parametrize("torn", [b"", b'{"v": 1, "kind": "fini', b"\x00\xff"])
def test_a_torn_last_line_is_ignored(tmp_path, torn):
    store, run, events = stored(tmp_path)
    log = store.folder(run) / "events.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]) + torn)
    assert log_of(store.load(run)) == log_of(events[:-1])
    assert store.status(run) == "interrupted"


def test_a_log_can_be_followed(tmp_path):
    """Reading on from the last offset gives each event once, a torn one when it is whole."""
    store, spec = RunStore(tmp_path), spec_of("random_search", {"n": 3})
    seen, offset = [], 0
    with store.create(spec) as writer:
        assert store.read(writer.run, 0) == ([], 0) and store.status(writer.run) == "running"
        for event in Search(ToyGenerator(), verifiers(), spec).run():
            writer.append(event)
            new, offset = store.read(writer.run, offset)
            seen += new
            assert len(new) == 1
    assert log_of(seen) == log_of(store.load(writer.run))
    assert offset == (store.folder(writer.run) / "events.jsonl").stat().st_size
    assert store.read(writer.run, offset) == ([], offset)


def test_status_follows_the_writer(tmp_path):
    store, spec = RunStore(tmp_path), spec_of("random_search", {"n": 3})
    writer = store.create(spec)
    assert store.status(writer.run) == "running"
    writer.append(Started(seq=0, seconds=0.0, spec=spec, num_steps=4, step_labels=("a",) * 4))
    assert store.status(writer.run) == "running"
    writer.close()
    assert store.status(writer.run) == "interrupted"


@pytest.mark.parametrize("torn", [b"", b'{"v": 1', b"x" * 10_000])
@pytest.mark.parametrize("length", [0, 3800, 3900, 4000, 4096, 100_000])
def test_an_end_is_seen_however_long_its_line(tmp_path, length, torn):
    store = RunStore(tmp_path)
    with store.create(spec_of("random_search", {"n": 3})) as writer:
        writer.append(Failed(seq=0, seconds=0.0, code="error", message="x" * length))
    with open(store.folder(writer.run) / "events.jsonl", "ab") as log:
        log.write(torn)
    assert store.status(writer.run) == "failed"


def test_two_processes_share_a_store_and_prune_it(tmp_path):
    """Each leaves the other's run alone, and what was not pinned goes with the next one that prunes."""
    stale = stored(tmp_path)[1]
    both = [child(tmp_path), child(tmp_path)]
    one, two = runs = [process.stdout.readline().strip() for process in both]
    store = RunStore(tmp_path, cap_bytes=0)
    assert not store.has(stale) and [store.status(run) for run in runs] == ["running", "running"]
    for process in both:
        process.stdin.write("begin\n")
        process.stdin.flush()
    assert [process.communicate()[0] for process in both] == ["", ""] and not any(p.returncode for p in both)
    store.prune()
    assert one != two and {info.run for info in store.list()} == {one, two}
    assert {(info.status, info.pinned) for info in store.list()} == {("finished", True)}
    assert log_of(store.load(one)) == log_of(store.load(two))


def test_runs_are_listed_newest_first_with_what_they_are_beside(tmp_path):
    store, first, _ = stored(tmp_path)
    _, second, _ = stored(tmp_path, "random_search", beside=first, n=2)
    assert [(info.run, info.beside) for info in store.list()] == [(second, first), (first, None)]
    assert RunStore(tmp_path / "nowhere").list() == []


def test_a_run_without_meta_does_not_exist(tmp_path):
    """Its process died while making it."""
    store, run, _ = stored(tmp_path)
    (store.folder(run) / "meta.json").unlink()
    assert not store.has(run) and store.list() == []


STRANGE = ["../secrets1", "..", "/etc/passwd", "a/../../secrets1", "tiny", "x" * 41, "UPPERCASE", "abcdefgh\n", 7, None]


@pytest.mark.parametrize("run", STRANGE)
def test_no_path_is_made_of_a_strange_id(tmp_path, run):
    outside = tmp_path / "secrets1"
    outside.mkdir()
    (outside / "meta.json").write_text("{}")
    (outside / "events.jsonl").write_text("")
    store = RunStore(tmp_path / "runs")
    (tmp_path / "runs").mkdir()
    assert not store.has(run)
    for ask in (store.load, store.meta, store.status, lambda run: store.image(run, 1, "preview")):
        with pytest.raises(BadRequest, match="there is no run"):
            ask(run)


@pytest.mark.parametrize(("node", "kind"), [("1", "preview"), (-1, "final"), (True, "look"), (1, "../meta"), (1, None)])
def test_no_path_is_made_of_a_strange_image(tmp_path, node, kind):
    store, run, _ = stored(tmp_path)
    with pytest.raises(BadRequest, match="there is no image"):
        store.image(run, node, kind)


def test_an_image_that_was_never_made_is_missing(tmp_path):
    store, run, _ = stored(tmp_path)
    with pytest.raises(FileNotFoundError):
        store.image(run, 0, "preview")


def test_the_root_comes_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("BEAMSCOPE_RUNS", str(tmp_path))
    assert RunStore().root == tmp_path
    monkeypatch.delenv("BEAMSCOPE_RUNS")
    assert RunStore().root == Path.home() / ".cache/beamscope/runs"
