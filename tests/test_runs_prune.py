"""Which runs make room: laws of the cap, whatever the runs, and of readers and writers meanwhile."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path
from random import Random

import pytest

from core.search.errors import BadRequest
from core.search.events import Origin
from core.search.search import Search
from core.store import prune
from core.store.runs import RunStore, default_cap
from tests.test_search import log_of, spec_of, verifiers
from tests.toy import ToyGenerator

ROOT = Path(__file__).parents[1]
SPEC = spec_of("random_search", {"n": 3})
EVENTS = list(Search(ToyGenerator(), verifiers(), SPEC).run())


def search(store, beside=None, parent=None):
    """A run that is over; its id."""
    with store.create(SPEC, beside, parent) as writer:
        for event in EVENTS:
            writer.append(event)
    return writer.run


def last_used(store, run, hours_ago):
    for name in ("meta.json", "events.jsonl"):
        os.utime(store.root / run / name, (when := time.time() - 3600 * hours_ago, when))


def sizes(root):
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file() and path.name != "bytes")


def everything(root):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in [root, *root.rglob("*")]}


@dataclass
class Made:
    bytes: int
    used: float   # hours ago
    beside: str | None = None
    pinned: bool = False
    writing: bool = False


def any_store(root, random):
    """Some runs of any size, age and state; some compared with earlier ones. The store, the runs, open writers."""
    store, runs, writers = RunStore(root, cap_bytes=float("inf")), {}, []
    for hours in random.sample(range(1, 100), random.randint(1, 12)):
        made = Made(random.randint(0, 5000), hours, random.choice([None, None, *runs]),
                    random.random() < 0.2, random.random() < 0.2)
        writer = store.create(SPEC, made.beside)
        (store.root / writer.run / "previews" / "0.jpg").write_bytes(bytes(made.bytes))
        if made.pinned:
            store.pin(writer.run)
        if made.writing:
            writers.append(writer)
        else:
            writer.close()
        last_used(store, writer.run, hours)
        made.bytes = store.info(writer.run).bytes
        runs[writer.run] = made
    return store, runs, writers


def groups(runs):
    """Sets of runs that are compared with one another: what can be reached by way of `beside`, both ways."""
    links = [{run, made.beside} for run, made in runs.items() if made.beside]
    found = []
    for run in runs:
        reached = {run}
        while any(link & reached and link - reached for link in links):
            reached = reached.union(*(link for link in links if link & reached))
        if reached not in found:
            found.append(reached)
    return found


@pytest.mark.parametrize("seed", range(40))
def test_the_least_recently_used_make_room_and_no_more_than_needed(tmp_path, seed):
    random = Random(seed)
    store, runs, writers = any_store(tmp_path, random)
    before = sum(made.bytes for made in runs.values())
    store.cap_bytes = random.choice([0, before // 3, before // 2, before - 1, before, before + 1])
    dropped = set(store.prune())
    left = {info.run: info for info in store.list()}
    assert left.keys() == runs.keys() - dropped and sizes(tmp_path) == sum(info.bytes for info in left.values())
    safe = [group for group in groups(runs) if any(runs[run].pinned or runs[run].writing for run in group)]
    others = [group for group in groups(runs) if group not in safe]
    assert not any(group & dropped for group in safe)
    assert all(group <= dropped or not group & dropped for group in others)
    ages = {went: [min(runs[run].used for run in group) for group in others if bool(group & dropped) == went]
            for went in (True, False)}
    assert max(ages[False], default=0) < min(ages[True], default=999)   # what went was used before what stays
    total = sum(info.bytes for info in left.values())
    assert total <= store.cap_bytes or not ages[False]
    if dropped:
        [last] = [group for group in others if min(runs[run].used for run in group) == min(ages[True])]
        assert total + sum(runs[run].bytes for run in last) > store.cap_bytes
    for writer in writers:
        writer.close()


def test_creating_a_run_makes_room_and_spares_what_it_is_compared_with(tmp_path):
    store = RunStore(tmp_path, cap_bytes=0)
    first = search(store)
    second = search(store)
    assert {info.run for info in store.list()} == {second} and not (tmp_path / first).exists()
    with store.create(SPEC, beside=second) as writer:
        assert store.prune() == [] and {info.run for info in store.list()} == {second, writer.run}
    assert sorted(store.prune()) == sorted([second, writer.run])


def test_a_pair_is_pinned_by_either_lane_and_unpinned_again(tmp_path):
    store = RunStore(tmp_path, cap_bytes=float("inf"))
    pairs = [search(store, beside=search(store)) for _ in range(2)]
    others = [store.meta(run)["beside"] for run in pairs]
    store.pin(pairs[0])
    store.pin(others[1])
    store.cap_bytes = 0
    assert store.prune() == []
    assert {info.run for info in store.list() if info.pinned} == {pairs[0], others[1]}
    store.pin(pairs[0], False)
    assert set(store.prune()) == {pairs[0], others[0]}
    store.pin(others[1], False)
    assert set(store.prune()) == {pairs[1], others[1]} and store.list() == []
    with pytest.raises(BadRequest, match="there is no run"):
        store.pin(pairs[0])


@pytest.mark.skipif(not prune.fcntl, reason="needs locks")
def test_a_pin_that_was_accepted_holds_whoever_prunes_at_that_moment(tmp_path, monkeypatch):
    store, accepted, drop = RunStore(tmp_path, cap_bytes=0), [], prune._drop
    run = search(store)

    def pin():
        try:
            store.pin(run)
            accepted.append(True)
        except BadRequest:
            accepted.append(False)

    def late_drop(folder):
        pinning.start()
        pinning.join(0.2)
        drop(folder)

    pinning = threading.Thread(target=pin)
    monkeypatch.setattr(prune, "_drop", late_drop)
    store.prune()
    pinning.join()
    assert accepted == [store.has(run)]


@pytest.mark.parametrize("ask", [
    RunStore.load, RunStore.pin, RunStore.meta, RunStore.status, lambda store, run: store.image(run, 0, "final"),
])
def test_a_run_that_goes_between_two_looks_is_no_run(tmp_path, monkeypatch, ask):
    store, folder = RunStore(tmp_path), RunStore.folder
    run = search(store)

    def found_and_gone(self, run):
        path = folder(self, run)
        shutil.rmtree(path)
        return path

    monkeypatch.setattr(RunStore, "folder", found_and_gone)
    with pytest.raises(BadRequest, match="there is no run"):
        ask(store, run)


READERS = {
    "load": lambda store, run: store.load(run),
    "read": lambda store, run: store.read(run, 7),
    "image": lambda store, run: store.image(run, 1, "preview"),
    "best image": lambda store, run: store.best_image(run, store.load(run)[-1].node),
    "pin": lambda store, run: store.pin(run, False),
}
LOOKERS = {
    "list": lambda store, run: store.list(), "info": lambda store, run: store.info(run),
    "status": lambda store, run: store.status(run), "meta": lambda store, run: store.meta(run),
}


@pytest.mark.parametrize(("what", "used"), [*((name, True) for name in READERS), *((name, False) for name in LOOKERS)])
def test_a_run_is_used_when_it_is_opened_not_when_it_is_listed(tmp_path, what, used):
    store = RunStore(tmp_path, cap_bytes=float("inf"))
    old, new = search(store), search(store)
    last_used(store, old, 2)
    last_used(store, new, 1)
    try:
        (READERS | LOOKERS)[what](store, old)
    except (FileNotFoundError, BadRequest):   # in the middle of a line, or no such picture: wanted all the same
        assert what in ("image", "read")
    store.cap_bytes = store.info(new).bytes
    assert store.prune() == [new if used else old]


def test_writing_uses_a_run(tmp_path):
    store = RunStore(tmp_path, cap_bytes=float("inf"))
    with store.create(SPEC) as long:
        new = search(store)
        last_used(store, long.run, 2)
        last_used(store, new, 1)
        long.append(EVENTS[0])
    store.cap_bytes = store.info(new).bytes
    assert store.prune() == [new]


def test_a_store_that_is_only_read_is_never_changed(tmp_path):
    writable = RunStore(tmp_path)
    run = search(writable, beside=search(writable))
    for info in writable.list():
        last_used(writable, info.run, 1000)
    (tmp_path / ".gone-20200101-000000-00000000").mkdir()
    before = everything(tmp_path)
    store = RunStore(tmp_path, cap_bytes=0, read_only=True)
    assert log_of(store.load(run)) == log_of(EVENTS) and store.prune() == [] and len(store.list()) == 2
    assert store.best_image(run, EVENTS[-1].node).is_file() and store.info(run).status == "finished"
    for change in (lambda: store.create(SPEC), lambda: store.pin(run)):
        with pytest.raises(BadRequest, match="only read.*BEAMSCOPE_RUNS"):
            change()
    assert everything(tmp_path) == before


def test_without_a_cap_nothing_is_dropped_or_noted(tmp_path):
    store = RunStore(tmp_path, cap_bytes=float("inf"))
    search(store)
    before = everything(tmp_path)
    assert store.prune() == [] and everything(tmp_path) == before


def test_the_size_is_that_of_the_files_before_and_after_it_is_noted(tmp_path):
    store = RunStore(tmp_path)
    run = search(store)
    assert store.info(run).bytes == sizes(tmp_path) > 1000
    store.prune()
    assert (tmp_path / run / "bytes").exists()
    assert store.info(run).bytes == sizes(tmp_path)
    with store.create(SPEC) as writer:
        for event in EVENTS:
            store.prune()
            writer.append(event)
            assert store.info(writer.run).bytes == sizes(tmp_path / writer.run)


def test_a_run_knows_what_it_goes_on_from(tmp_path):
    store = RunStore(tmp_path)
    first = search(store)
    assert store.info(first).parent is None
    assert store.info(search(store, parent=first)).parent == first
    origin = Origin(**{field.name: {} if field.name == "winner" else first for field in fields(Origin)})
    with store.create(replace(SPEC, origin=origin)) as writer:
        assert store.info(writer.run).parent == first


@pytest.mark.parametrize("meta", [{}, {"created": "2026-01-01T00:00:00+00:00", "title": "digits", "beside": None},
                                  {"title": "digits", "beside": "nothing-there", "from_the_future": [1]}])
def test_meta_of_another_version_is_read(tmp_path, meta):
    store = RunStore(tmp_path)
    run = search(store)
    (tmp_path / run / "meta.json").write_text(json.dumps(meta))
    info = store.info(run)
    assert (info.title, info.beside, info.parent) == (meta.get("title", ""), meta.get("beside"), None)
    assert [info] == store.list() and log_of(store.load(run)) == log_of(EVENTS)
    store.cap_bytes = 0
    assert store.prune() == [run]


def test_what_dead_processes_left_is_removed_and_nothing_that_is_not_ours(tmp_path):
    store, hour_ago = RunStore(tmp_path, cap_bytes=0), time.time() - 3600
    writer = store.create(SPEC)
    kept = ["my-project", young := "20200101-000000-0000aaaa", begun := "20200101-000000-0000bbbb"]
    left = ["20200101-000000-0000cccc", "20200101-000000-0000dddd", ".gone-20200101-000000-0000eeee"]
    for name in kept + left:
        (tmp_path / name / "previews").mkdir(parents=True)
    (tmp_path / "20200101-000000-0000dddd" / "events.jsonl").touch()
    (tmp_path / "notes.txt").touch()
    os.rename(tmp_path / writer.run / "events.jsonl", tmp_path / begun / "events.jsonl")   # with the lock on it
    for name in {*kept, *left} - {young}:
        os.utime(tmp_path / name, (hour_ago, hour_ago))
    store.prune()
    assert {path.name for path in tmp_path.iterdir()} - {writer.run} == {*kept, "notes.txt"}
    writer.close()


@pytest.mark.parametrize("damaged", ["", "[]", "7", '{"beside": [1]}', "\0"])
def test_a_damaged_run_is_told_and_does_not_stand_in_the_way(tmp_path, damaged):
    store = RunStore(tmp_path)
    bad, good = search(store), search(store)
    (tmp_path / bad / "meta.json").write_text(damaged)
    if damaged[:1] != "{":
        with pytest.raises(BadRequest, match=f"meta.json of run {bad} is damaged"):
            store.info(bad)
    assert good in {info.run for info in store.list()}
    store.cap_bytes = 0
    assert {bad, good} == set(store.prune())


@pytest.mark.parametrize(("text", "megabytes"), [("", 2048), ("1", 1), ("0.5", 0.5), ("0", 0), ("inf", float("inf"))])
def test_the_cap_comes_from_the_environment(monkeypatch, tmp_path, text, megabytes):
    monkeypatch.setenv("BEAMSCOPE_RUNS_MB", text)
    assert default_cap() == RunStore(tmp_path).cap_bytes == megabytes * 2**20
    assert RunStore(tmp_path, cap_bytes=7).cap_bytes == 7


@pytest.mark.parametrize("text", ["-1", "much", "nan", "2 GB"])
def test_a_cap_that_is_none_is_told(monkeypatch, text):
    monkeypatch.setenv("BEAMSCOPE_RUNS_MB", text)
    with pytest.raises(BadRequest, match="BEAMSCOPE_RUNS_MB is .* number of megabytes"):
        RunStore()


WRITE = """
import sys
from tests.test_runs_prune import EVENTS, SPEC, RunStore, log_of
store = RunStore(sys.argv[1], cap_bytes=float(sys.argv[2]))
for _ in range(int(sys.argv[3])):
    with store.create(SPEC) as writer:
        for event in EVENTS:
            writer.append(event)
            if event.seq % 4 == 0:
                store.prune()
        assert log_of(store.load(writer.run)) == log_of(EVENTS), "a run went while it was written"
    print(writer.run, flush=True)
"""


def test_two_processes_prune_at_once_while_others_read(tmp_path):
    """Nobody fails; a run is there whole or not at all; what is pinned or being written stays."""
    store = RunStore(tmp_path, cap_bytes=float("inf"))
    pinned = search(store, beside=search(store))
    store.pin(pinned)
    both, size = {pinned, store.meta(pinned)["beside"]}, store.info(pinned).bytes
    command = [sys.executable, "-c", WRITE, str(tmp_path), str(4 * size), "15"]
    writers = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        infos = store.list()
        assert both <= {info.run for info in infos}
        for info in infos:
            try:
                events = log_of(store.load(info.run))
            except BadRequest as error:
                assert "there is no run" in str(error) and not store.has(info.run)
                continue
            assert events == log_of(EVENTS)[:len(events)]
            assert info.status != "finished" or len(events) == len(EVENTS)
            seen.add(info.run)
    runs = [run for writer in writers for run in writer.communicate()[0].split()]
    assert [writer.returncode for writer in writers] == [0, 0] and len(set(runs)) == 30
    assert len(seen) > 8 and seen <= {*runs, *both}
    store.cap_bytes = 4 * size
    store.prune()
    left = {info.run for info in store.list()}
    assert both < left and len(left) == 4
    assert {path.name for path in tmp_path.iterdir()} == left
