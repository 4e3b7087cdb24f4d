"""A full disk, at every single write: it is told, what was kept stays, and the run can go on when there is room."""

import builtins
import errno
import io
import os
import shutil
import subprocess
import sys
from itertools import count
from pathlib import Path
from unittest import mock

import pytest
from PIL import Image

from core.search.errors import BadRequest, BeamscopeError, DiskFull
from core.search.events import Failed, Improved, Started, WithImages
from core.search.search import Search
from core.store.runs import RunStore
from tests.test_search import log_of, spec_of, verifiers
from tests.toy import ToyGenerator

ROOT = Path(__file__).parents[1]
SPEC = spec_of("beam_search", {"look": 3, "width": 2, "branch": 3})
EVENTS = list(Search(ToyGenerator(), verifiers(), SPEC).run())


class Disk:
    """Has room for so many writes; the one after them fails in its middle, and with `for_good` all others too.

    A write is whatever takes space: a folder, a file, bytes in one, a name, a sync.
    """

    def __init__(self, room, for_good=False, code=errno.ENOSPC):
        self.room, self.for_good, self.code, self.writes = room, for_good, code, 0

    @property
    def full(self):
        return self.writes > self.room

    def __enter__(self):
        names = [name for name in ("mkdir", "write", "fsync", "replace", "rename", "link") if hasattr(os, name)]
        self.patches = [mock.patch.object(os, name, self.failing(getattr(os, name))) for name in names]
        self.patches += [mock.patch.object(os, "open", self.failing(os.open, lambda how: how[0] & os.O_CREAT))]
        opens = self.failing(builtins.open, lambda how: set("wax") & set(how[0] if how else "r"))
        self.patches += [mock.patch.object(builtins, "open", opens), mock.patch.object(io, "open", opens)]
        for patch in self.patches:
            patch.start()
        return self

    def __exit__(self, *_):
        for patch in self.patches:
            patch.stop()

    def failing(self, call, takes_space=lambda how: True):
        def called(target, *how, **named):
            if takes_space(how):
                self.writes += 1
                if self.writes == self.room + 1 or self.full and self.for_good:
                    if call.__name__ == "write":
                        call(target, how[0][:len(how[0]) // 2])
                    raise OSError(self.code, os.strerror(self.code))
            return call(target, *how, **named)
        return called


def files(root):
    """Everything under a folder: text of files, None for folders."""
    return {str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in root.rglob("*")}


def check_whole(store, run, events):
    """Exactly these events, and every picture they name."""
    stored = store.load(run)
    assert log_of(stored) == log_of(events)
    for event in stored:
        for node in event.images if isinstance(event, WithImages) else ():
            Image.open(io.BytesIO(store.image(run, node, event.image_kind))).load()
        if isinstance(event, Improved):
            Image.open(store.best_image(run, event.node)).load()


def refused(disk, write, kind=DiskFull):
    """Whether there was no room; if so, the error says it."""
    with disk:
        try:
            write()
        except kind as error:
            assert disk.full
            return error
    assert not disk.full, "a write failed and nobody was told"
    return None


@pytest.mark.parametrize("for_good", [False, True])
def test_an_event_without_room_leaves_the_run_as_it_was_and_can_be_tried_again(tmp_path, for_good):
    store, failures = RunStore(tmp_path), 0
    with store.create(SPEC) as writer:
        for event in EVENTS:
            before = files(tmp_path)
            for room in count():
                error = refused(Disk(room, for_good), lambda event=event: writer.append(event))
                if error is None:
                    break
                assert files(tmp_path) == before
                kept = f"up to event {event.seq - 1};" if event.seq else "none of its events is kept;"
                assert error.code == "disk_full" and kept in str(error)
                assert f"{tmp_path} is full" in str(error) and "BEAMSCOPE_RUNS" in str(error)
                failures += 1
            check_whole(store, writer.run, EVENTS[:event.seq + 1])
    pictures = sum(len(event.images) for event in EVENTS if isinstance(event, WithImages))
    assert failures >= 3 * pictures + 2 * len(EVENTS)   # open, write, name; write, sync
    assert store.status(writer.run) == "finished"


@pytest.mark.parametrize("for_good", [False, True])
def test_a_run_without_room_is_not_begun(tmp_path, for_good):
    made = []
    for room in count():
        root = tmp_path / str(room) / "runs"
        store = RunStore(root)
        error = refused(Disk(room, for_good), lambda store=store: made.append(store.create(SPEC)))
        if error is None:
            break
        assert store.list() == [] and files(root) == {}
        assert "nothing of it was begun" in str(error) and str(root) in str(error) and "BEAMSCOPE_RUNS" in str(error)
    assert room >= 8   # four folders, a log, and the meta file's open, write and name
    made[0].close()
    assert [info.run for info in store.list()] == [made[0].run]


def test_the_other_runs_of_a_full_disk_are_left_alone(tmp_path):
    store = RunStore(tmp_path)
    with store.create(SPEC) as old:
        for event in EVENTS:
            old.append(event)
    before = files(tmp_path)
    for room in count():
        (store.folder(old.run) / "bytes").unlink(missing_ok=True)   # the note of its size is one of the writes
        if refused(Disk(room, for_good=True), lambda: store.create(SPEC).close()) is None:
            break
        assert {name: data for name, data in files(tmp_path).items() if not name.endswith("/bytes")} == before
        check_whole(store, old.run, EVENTS)
    assert room >= 9
    for room in count():
        if refused(Disk(room), lambda: store.pin(old.run)) is None:
            break
        assert not store.info(old.run).pinned
    assert room and store.info(old.run).pinned


def full_at(writer, event, room=0, for_good=False, code=errno.ENOSPC):
    return refused(Disk(room, for_good, code), lambda: writer.append(event), BeamscopeError)


def test_no_event_follows_one_that_found_no_room(tmp_path):
    """A log with a gap would be a lie; the same event, or another of its number, may be tried."""
    store = RunStore(tmp_path)
    with store.create(SPEC) as writer:
        writer.append(EVENTS[0])
        assert full_at(writer, EVENTS[1])
        before = files(tmp_path)
        for wrong in (EVENTS[0], EVENTS[2], EVENTS[-1]):
            with pytest.raises(BadRequest, match=f"event {wrong.seq} cannot be kept .* event 1 is next"):
                writer.append(wrong)
        assert files(tmp_path) == before
        writer.append(Failed(seq=1, seconds=0.0, code="disk_full", message="the disk is full"))
    assert store.status(writer.run) == "failed"
    assert [event.kind for event in store.load(writer.run)] == ["started", "failed"]


def test_a_torn_line_that_could_not_be_cut_off_is_cut_off_later(tmp_path):
    """Meanwhile readers skip it."""
    store = RunStore(tmp_path)
    with store.create(SPEC) as writer:
        writer.append(EVENTS[0])
        whole = (store.folder(writer.run) / "events.jsonl").read_bytes()
        with mock.patch.object(os, "ftruncate", side_effect=OSError(errno.EIO, "it is broken")):
            assert full_at(writer, EVENTS[1])
            assert (store.folder(writer.run) / "events.jsonl").read_bytes() != whole
            check_whole(store, writer.run, EVENTS[:1])
        writer.append(EVENTS[1])
    check_whole(store, writer.run, EVENTS[:2])


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_all_kinds_of_full_are_told_alike(tmp_path, code):
    with RunStore(tmp_path).create(SPEC) as writer:
        assert os.strerror(code) in str(full_at(writer, EVENTS[0], code=code))


def test_another_error_is_not_called_a_full_disk_and_leaves_the_run_as_it_was(tmp_path):
    with RunStore(tmp_path).create(SPEC) as writer:
        before = files(tmp_path)
        for failure in (OSError(errno.EIO, "it is broken"), KeyboardInterrupt()):
            with pytest.raises(type(failure)), mock.patch.object(os, "fsync", side_effect=failure):
                writer.append(EVENTS[0])
            assert files(tmp_path) == before
        with pytest.raises(ValueError, match="JSON"):   # not a number: refused before anything is written
            writer.append(Started(seq=0, seconds=float("nan"), spec=SPEC, num_steps=4, step_labels=()))
        assert files(tmp_path) == before


# Disks that are really full

REAL = """
import os, sys
from tests.test_runs_full_disk import EVENTS, SPEC, DiskFull, RunStore, check_whole

def fill(root, make_room):
    "Write a run, let room be made whenever there is none; how often there was none."
    store, failures = RunStore(root), 0
    writer = None
    while writer is None:
        try:
            writer = store.create(SPEC)
        except DiskFull as error:
            assert store.list() == [] and not list(store.root.glob("2*")), error
            failures += 1
            make_room()
    for event in EVENTS:
        while writer.kept == event.seq:
            try:
                writer.append(event)
            except DiskFull as error:
                check_whole(store, writer.run, EVENTS[:event.seq])
                failures += 1
                make_room()
    check_whole(store, writer.run, EVENTS)
    return failures
"""


def run_script(script, *prefix, root):
    command = [*prefix, sys.executable, "-c", REAL + script, str(root)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.skipif(not shutil.which("unshare") or not shutil.which("mount"), reason="needs Linux's unshare and mount")
def test_a_file_system_that_is_really_full(tmp_path):
    """A file system in memory that grows by a page whenever it is full."""
    script = """
pages = [2]
def grow():
    pages[0] += 1
    assert os.system(f"mount -o remount,size={4 * pages[0]}k {sys.argv[1]}") == 0
if os.system(f"mount -t tmpfs -o size={4 * pages[0]}k beamscope {sys.argv[1]}"):
    sys.exit(77)
assert fill(sys.argv[1], grow) >= 10
"""
    done = run_script(script, "unshare", "--user", "--map-root-user", "--mount", root=tmp_path)
    if done.returncode == 77 or "unshare" in done.stderr.split(":")[0]:
        pytest.skip(f"no file system may be mounted here: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


def test_a_process_that_may_not_write_large_files(tmp_path):
    """The limit of the operating system lets a write in part: the line is really torn."""
    pytest.importorskip("resource")
    script = """
import resource
limit = [0]
def grow():
    limit[0] += 97
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit[0], resource.RLIM_INFINITY))
grow()
assert fill(sys.argv[1], grow) >= 10
"""
    done = run_script(script, root=tmp_path)
    assert done.returncode == 0, done.stderr
