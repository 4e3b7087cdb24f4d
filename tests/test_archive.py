"""run.zip: what was exported comes back as it was, and whatever else is in such a file is told and never kept."""

import io
import itertools
import json
import re
import zipfile

import pytest

from core.report import choices
from core.resume import resumed
from core.search.budget import Budget
from core.search.errors import BadRequest, DiskFull
from core.search.search import Search
from core.search.tree import Tree
from core.store import archive_read
from core.store.archive import write_archive
from core.store.archive_read import import_archive
from core.store.check import BadLog, checked_log
from core.store.runs import RunStore
from core.store.writer import RunWriter
from demo import view
from demo.inspect import inspect
from tests.test_runs import stored
from tests.test_search import every_case, searched, spec_of, verifiers
from tests.test_steering import against_the_verifier, played, search_of, steered_at_random
from tests.toy import ToyGenerator

LOG = "lanes/0/events.jsonl"


def lines_of(events):
    return [json.dumps(event.to_json()).encode() for event in events]


def files_of(data):
    with zipfile.ZipFile(data) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(files, method=zipfile.ZIP_DEFLATED):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as archive:
        for name, content in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, content)
    return data


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A store with a comparison, and the id of its first run."""
    store, second, _ = stored(tmp_path_factory.mktemp("pair"), "random_search", n=6)
    _, first, _ = stored(store.root, beside=second, width=2, branch=3, look="rollout")
    return store, first


@pytest.fixture(scope="module")
def files(pair):
    """What is in its archive, by name."""
    data = io.BytesIO()
    write_archive(*pair, data)
    return files_of(data)


@pytest.fixture
def elsewhere(tmp_path):
    return RunStore(tmp_path / "elsewhere")


def refused(store, data):
    """The sentence with which an archive is refused; nothing of it is kept."""
    with pytest.raises(BadRequest) as caught:
        import_archive(store, data if isinstance(data, io.BytesIO) else zipped(data))
    assert not store.list() and not [*store.root.parent.glob("**/*.jp*g")]
    return str(caught.value)


# The round trip

def test_a_comparison_comes_back_as_it_was(pair, files, elsewhere):
    run = import_archive(elsewhere, zipped(files))
    store, first = pair
    for ours, theirs in [(first, run), (store.meta(first)["beside"], elsewhere.meta(run)["beside"])]:
        assert elsewhere.load(theirs) == store.load(ours)
        assert elsewhere.status(theirs) == "finished"
        assert elsewhere.meta(theirs)["title"] == store.meta(ours)["title"]
        pictures = [path.relative_to(store.folder(ours)) for path in store.folder(ours).glob("previews/*")]
        assert {*elsewhere.folder(theirs).glob("previews/*")} == {elsewhere.folder(theirs) / name for name in pictures}
        for name in pictures:
            assert (elsewhere.folder(theirs) / name).read_bytes() == (store.folder(ours) / name).read_bytes()


def test_an_archive_of_what_was_imported_is_the_same_but_for_the_ids(files, elsewhere):
    again = io.BytesIO()
    write_archive(elsewhere, import_archive(elsewhere, zipped(files)), again)
    back = files_of(again)
    assert back.keys() == files.keys()
    assert [name for name in files if back[name] != files[name]] == ["run.json"]


def test_importing_twice_keeps_two_and_replaces_none(files, elsewhere):
    first, second = (import_archive(elsewhere, zipped(files)) for _ in range(2))
    assert first != second and len(elsewhere.list()) == 4


def test_an_unfinished_run_can_be_sent_and_a_resumed_one(pair, elsewhere):
    store, run = pair
    pruned = next(iter(event.ranks for event in store.load(run) if event.kind == "pruned"))
    spec = resumed(store, run, max(pruned), "greedy_tokens", {"branch": 2, "look": "preview"}, Budget())
    with store.create(spec) as writer:
        for event, _ in zip(Search(ToyGenerator(), verifiers(), spec).run(), range(3), strict=False):
            writer.append(event)
        data = io.BytesIO()
        write_archive(store, writer.run, data)
    run = import_archive(elsewhere, data)
    assert elsewhere.status(run) == "interrupted" and len(elsewhere.load(run)) == 3
    assert elsewhere.load(run)[0].spec.origin == spec.origin


def test_there_is_nothing_to_export_before_the_first_event(pair):
    store, _ = pair
    with store.create(spec_of("beam_search", {})) as writer, pytest.raises(BadRequest, match="no event yet"):
        write_archive(store, writer.run, io.BytesIO())


def test_a_full_disk_keeps_nothing_of_an_import(files, elsewhere, monkeypatch):
    def full(*_):
        raise DiskFull("no room")

    adopt, calls = RunWriter.adopt, []
    def second_time_full(*args):
        calls.append(args)
        (full if len(calls) == 2 else adopt)(*args)

    monkeypatch.setattr(RunWriter, "adopt", second_time_full)
    with pytest.raises(DiskFull):
        import_archive(elsewhere, zipped(files))
    assert len(calls) == 2 and not elsewhere.list()


# What every search writes passes

@every_case
def test_the_log_of_every_strategy_passes(strategy, params):
    _, events = searched(strategy, params)
    assert checked_log(lines_of(events)) == checked_log(lines_of(checked_log(lines_of(events))))
    assert checked_log(lines_of(events[:3]))


@pytest.mark.parametrize("seed", range(4))
def test_a_log_in_which_a_person_chose_and_steered_passes(seed):
    for search, events in (steered_at_random("beam_search", {"width": 2, "branch": 3}, seed, "person"), *[
        (search, played(search, against_the_verifier)) for search in [search_of()]
    ]):
        assert checked_log(lines_of(events))[-1].node == search.tree.end.node


# What no search would write

def shown(events):
    """All that is made of a log for people; raises nothing where the log has passed."""
    tree = Tree.of(events)
    for node in tree.nodes:
        inspect(tree, "run", node)
    return [*choices(tree, events), view.frame(tree, 0, {}, view.rows(tree)), json.dumps(tree.curve())]


def test_every_way_to_spoil_a_field_is_noticed_or_can_be_shown():
    """Any value in any place of a log is either told as BadLog, or is one that everything which reads logs takes."""
    _, events = searched("beam_search", {"width": 1, "branch": 2, "look": 3})
    good, noticed = [event.to_json() for event in events], 0
    values = [None, -1, 10**30, "x" * 20_000, [], {}, [[]], {"0": "x"}]
    for index, event in enumerate(good):
        for name, value in itertools.product(event, values):
            log = [*good[:index], {**event, name: value}, *good[index + 1 :]]
            try:
                shown(checked_log(json.dumps(line).encode() for line in log))
            except BadLog:
                noticed += 1
    assert noticed > 300


def forged(change):
    """The log of a search after `change` was made to its JSON objects."""
    _, events = searched("beam_search", {"width": 2, "branch": 2, "look": "rollout"})
    log = [event.to_json() for event in events]
    change(log)
    return [json.dumps(event).encode() for event in log]


def of_kind(log, kind):
    return next(event for event in log if event["kind"] == kind)


FORGERIES = {
    "a second start": lambda log: log.insert(1, {**log[0], "seq": 1}),
    "no start": lambda log: log.pop(0),
    "a gap": lambda log: log.pop(3),
    "an event after the end": lambda log: log.append({**log[-1], "seq": len(log)}),
    "an unknown kind": lambda log: log[2].update(kind="exec"),
    "another version": lambda log: log[2].update(v=2),
    "an unknown field": lambda log: log[2].update(html="<script>"),
    "an unknown field of the spec": lambda log: log[0]["spec"].update(shell="rm"),
    "a prompt that is no text": lambda log: log[0]["spec"].update(prompt=["a"]),
    "a prompt without end": lambda log: log[0]["spec"].update(prompt="a" * 20_000),
    "a strategy that there is not": lambda log: log[0]["spec"].update(strategy="__import__"),
    "a parameter out of range": lambda log: log[0]["spec"]["params"].update(width=10**9),
    "a parameter that is a table": lambda log: log[0]["spec"]["params"].update(width={}),
    "a seed out of range": lambda log: log[0]["spec"].update(seed=-1),
    "an origin elsewhere": lambda log: log[0]["spec"].update(
        origin={"run": "../../etc", "node": 1, "step": 1, "state": "", "path": [1], "winner": {}}),
    "too many steps": lambda log: log[0].update(num_steps=10**4, step_labels=["x"] * 10**4),
    "more labels than steps": lambda log: log[0]["step_labels"].append("x"),
    "an orphan": lambda log: log[2]["nodes"][0].update(parent=99),
    "its own parent": lambda log: log[2]["nodes"][0].update(parent=1),
    "a second root": lambda log: log[2]["nodes"][0].update(parent=None),
    "a node twice": lambda log: log[2]["nodes"][1].update(id=1),
    "a picture elsewhere": lambda log: of_kind(log, "scored")["images"].update({"1": "../../x.jpg"}),
    "a picture of a stranger": lambda log: of_kind(log, "scored")["images"].update({"999": "previews/999-final.jpg"}),
    "a score that is no number": lambda log: of_kind(log, "scored")["scores"]["1"].update(closeness="high"),
    "a score by somebody else only": lambda log: of_kind(log, "scored")["scores"].update({"1": {"me": 1.0}}),
    "a choice of strangers": lambda log: of_kind(log, "pruned").update(kept=[0]),
    "ranks that are no ranking": lambda log: of_kind(log, "pruned").update(ranks={"1": 5, "2": 5}),
    "a mark on a stranger": lambda log: of_kind(log, "pruned").update(marks={"0": "pin"}),
    "a mark that there is not": lambda log: of_kind(log, "pruned").update(marks={"1": "love"}),
    "a choice by nobody": lambda log: of_kind(log, "pruned").update(by="nobody"),
    "a winner that is not there": lambda log: log[-1].update(node=10**6),
}


@pytest.mark.parametrize("change", FORGERIES.values(), ids=FORGERIES)
def test_a_forged_log_is_noticed(change):
    with pytest.raises(BadLog, match="event"):
        checked_log(forged(change))


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"null", b"NaN", b'{"v": 1}', b"[" * 10**5, b"\xff\xfe", b'"' * 3])
def test_what_is_no_event_is_noticed(line):
    with pytest.raises(BadLog):
        checked_log([line])


def test_a_number_that_json_does_not_know_is_noticed():
    _, events = searched("beam_search", {"width": 2, "branch": 2})
    log = lines_of(events)
    log[-1] = log[-1].replace(json.dumps(events[-1].score).encode(), b"NaN", 1)
    with pytest.raises(BadLog, match="NaN"):
        checked_log(log)


def test_an_empty_log_is_noticed():
    with pytest.raises(BadLog, match="no events"):
        checked_log([])


# What no export would hold

def test_a_damaged_log_is_told_with_its_place(files, elsewhere):
    spoiled = files | {LOG: files[LOG].replace(b'"rule": "beam_rank"', b'"rule": 1', 1)}
    assert "lanes/0/events.jsonl is damaged" in refused(elsewhere, spoiled)


@pytest.mark.parametrize("name", ["../../evil.jpg", "/etc/cron.d/evil", "lanes/../../evil", "C:\\evil", "a\\..\\evil",
                                  "evil\n.jpg"])
def test_a_path_that_leaves_the_archive_is_refused(files, elsewhere, name, tmp_path):
    assert "outside of its own folder" in refused(elsewhere, files | {name: b"evil"})
    assert not [path for path in tmp_path.rglob("*") if "evil" in path.name]


def test_files_that_no_event_speaks_of_are_not_kept(files, elsewhere):
    run = import_archive(elsewhere, zipped(files | {"lanes/0/previews/evil.html": b"<script>", "pinned": b""}))
    assert {path.name for path in elsewhere.folder(run).iterdir()} == {"events.jsonl", "meta.json", "previews"}
    assert not [*elsewhere.folder(run).glob("previews/*.html")] and not elsewhere.info(run).pinned


@pytest.mark.parametrize("name", [LOG, "lanes/1/events.jsonl", "lanes/0/previews/1-final.jpg"])
def test_a_missing_file_is_told(files, elsewhere, name):
    assert f"{name} is missing" in refused(elsewhere, {key: data for key, data in files.items() if key != name})


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"<svg onload=alert(1)>", b"%PDF", b"\x89PNG\r\n\x1a\n" * 9])
def test_a_picture_that_is_none_is_told(files, elsewhere, data):
    name = "lanes/0/previews/1-final.jpg"
    assert f"picture {name} is damaged" in refused(elsewhere, files | {name: data})


def test_a_picture_with_too_many_pixels_is_told(files, elsewhere):
    from PIL import Image

    data = io.BytesIO()
    Image.new("L", (archive_read.MAX_SIDE + 1, 1)).save(data, "JPEG")
    assert "pixels" in refused(elsewhere, files | {"lanes/0/previews/1-final.jpg": data.getvalue()})


def test_a_bomb_is_not_unpacked(files, elsewhere):
    """80 MB of one letter are 80 kB in a zip, whatever the zip says of its size."""
    bomb = zipped(files | {LOG: b"a" * (archive_read.MAX_LOG + 1)})
    assert len(bomb.getvalue()) < 10**6
    assert "unpacks to more than" in refused(elsewhere, bomb)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_unusual_packing_is_refused(files, elsewhere, method):
    assert "packed in an unusual way" in refused(elsewhere, zipped(files, method))


def test_all_files_together_have_a_limit_too(files, elsewhere, monkeypatch):
    monkeypatch.setattr(archive_read, "MAX_UNPACKED", len(files[LOG]) + 2000)
    assert "unpacks to more than" in refused(elsewhere, files)


def test_a_zip_of_too_many_files_is_refused_before_it_is_read(elsewhere, monkeypatch):
    monkeypatch.setattr(archive_read, "MAX_INDEX", 2**16)
    assert "too many files" in refused(elsewhere, [(f"{i:040}", b"") for i in range(1000)])


def test_two_files_of_one_name_are_refused(files, elsewhere):
    with pytest.warns(UserWarning, match="Duplicate"):
        data = zipped([*files.items(), (LOG, b"other")])
    assert "two files of the same name" in refused(elsewhere, data)


def test_a_large_file_is_refused_unread(elsewhere, monkeypatch):
    monkeypatch.setattr(archive_read, "MAX_ARCHIVE", 1000)
    assert "has at most" in refused(elsewhere, io.BytesIO(b"x" * 1001))


@pytest.mark.parametrize("data", [b"", b"PK", b"<html>", b"\x89PNG", b"PK\x05\x06", b"PK\x05\x06" + b"\xff" * 18])
def test_what_is_no_zip_is_told(elsewhere, data):
    refused(elsewhere, io.BytesIO(data))


def test_a_zip_cut_anywhere_is_told(files, elsewhere):
    whole = zipped(files).getvalue()
    for end in range(0, len(whole) - 1, len(whole) // 40):
        refused(elsewhere, io.BytesIO(whole[:end]))


def test_a_zip_with_any_byte_turned_is_told_or_unharmed(files, elsewhere):
    """Also where the damage hits the zip's own tables. What gets through is what a search could have written."""
    whole = zipped(files).getvalue()
    for place in range(7, len(whole), len(whole) // 60):
        turned = bytearray(whole)
        turned[place] ^= 0x55
        try:
            run = import_archive(elsewhere, io.BytesIO(bytes(turned)))
        except BadRequest:
            continue
        assert checked_log(lines_of(elsewhere.load(run)))


@pytest.mark.parametrize("manifest", [
    b"", b"[]", b"{}", b"null", b'{"format": "x"}', b'{"format": "beamscope-run", "version": 99}',
    b'{"format": "beamscope-run", "version": 1, "lanes": []}',
    b'{"format": "beamscope-run", "version": 1, "lanes": [1, 2, 3]}', b"[" * 60_000, b" " * 70_000,
])
def test_a_manifest_that_is_none_is_told(files, elsewhere, manifest):
    assert re.search("run.(json|zip)", refused(elsewhere, files | {"run.json": manifest}))
