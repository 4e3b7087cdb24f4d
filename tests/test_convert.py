"""The command that makes slim copies, on a tiny release in the official formats."""

import json
import shutil

import pytest

from core import cli
from core.packages import slim
from core.packages.download import Bar
from core.packages.readiness import readiness
from core.registry import Entry, Needs
from tests.infinity_released import release
from tests.test_readiness import CARD

NAMES = ("infinity-125m", "infinity-vae-d16", "flan-t5-xl")


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    release(monkeypatch, tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")   # nothing may be asked there

    def run(*args):
        code = cli.main(list(args))
        return code, *capsys.readouterr()

    return run


def test_slim_copies_are_made_and_stand_for_the_official_files(run):
    code, out, err = run("convert", *NAMES, "--json")
    rows = json.loads(out)["packages"]
    assert code == 0 and [row["name"] for row in rows] == list(NAMES) and "100%" in err
    assert all(len(row["sha256"]) == 64 and row["bytes"] > 0 for row in rows)
    for row in rows:
        shutil.rmtree(row["official"])
    assert all(slim.here(name) for name in NAMES)
    model = Entry("", lambda: None, needs=Needs(NAMES, parameters=1.0))
    assert readiness("infinity-125m", model, CARD).ready
    assert run("download", *NAMES, "--yes") == (0, "\n", "")


def test_what_has_no_slim_form_or_is_not_here_is_refused(run):
    assert "'taef1' has no slim form" in run("convert", "taef1")[2]
    code, _, err = run("convert", "infinity-2b")
    assert code == 2 and "python -m core.cli download infinity-2b" in err


def test_the_speed_told_is_that_of_what_is_going_on(capsys):
    """Reading and writing are counted apart, so that it never falls below zero."""
    bar = Bar()
    for path, total in (("checking a", 10**9), ("a", 10**8)):
        for tenth in range(4, 11):   # what is told first is a chunk already
            bar.show(path, tenth * total // 10, total)
    told = capsys.readouterr().err
    assert "100%  1 GB of 1 GB" in told and "100%  0.1 GB of 0.1 GB" in told and "-" not in told
