"""Weights arrive whole or not at all: told and asked before, resumed, compared with the hub's hashes."""

import io
import json
import shutil
import sys
from collections import namedtuple

import pytest

from core import cli
from core.packages import download
from core.packages.catalogue import RECEIPT, missing, package
from core.registry import Entry, Needs
from core.verifiers.registry import VERIFIERS
from tests.hub import Hub, served

REPOSITORY = package("taef1").repository
WEIGHTS, CONFIG = bytes(range(256)) * 40, b'{"kind": "tiny"}'
USAGE = namedtuple("USAGE", "total used free")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """taef1 on a local hub, beside files that are no part of it, and an empty folder for packages."""
    hub = Hub({f"{REPOSITORY}/config.json": CONFIG, f"{REPOSITORY}/diffusion_pytorch_model.safetensors": WEIGHTS,
               f"{REPOSITORY}/README.md": b"hello", f"{REPOSITORY}/original.pth": WEIGHTS})
    with served(hub) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("BEAMSCOPE_MODELS", str(tmp_path))
        monkeypatch.setenv("HF_TOKEN", "")
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setattr(download, "sleep", lambda _: None)
        yield hub


@pytest.fixture
def run(capsys):
    def run(*args):
        code = cli.main(["download", *args])
        return code, *capsys.readouterr()

    return run


def folder():
    return package("taef1").folder


def test_it_tells_licence_and_size_asks_and_then_fetches_what_belongs_to_the_package(hub, run):
    code, out, err = run("taef1", "--yes", "--json")
    [row] = json.loads(out)["packages"]
    assert code == 0 and row["bytes"] == row["fetched"] == len(WEIGHTS) + len(CONFIG)
    assert "licence  MIT (commercial use allowed)" in err and "2 of 2 files to fetch, 0.0103 MB" in err
    assert err.index("licence") < err.index("100%")
    assert (folder() / "diffusion_pytorch_model.safetensors").read_bytes() == WEIGHTS
    assert {path.name for path in folder().iterdir()} == {"config.json", "diffusion_pytorch_model.safetensors", RECEIPT}
    assert not missing(package("taef1"))


def test_who_does_not_say_yes_gets_nothing(hub, run, monkeypatch):
    code, _, err = run("taef1")
    assert code == 2 and "say --yes if you do" in err
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    sys.stdin.isatty = lambda: True
    code, _, err = run("taef1")
    assert code == 2 and "[y/N]" in err and "nothing was fetched" in err
    assert not any("resolve" in path for path, _ in hub.asked) and not folder().exists()


def test_a_broken_connection_is_taken_up_where_it_broke(hub, run):
    hub.cuts = [3000] * 4
    assert run("taef1", "--yes")[0] == 0
    assert [start for path, start in hub.asked if path.endswith(".safetensors")] == [0, 3000, 6000, 9000]
    assert (folder() / "diffusion_pytorch_model.safetensors").read_bytes() == WEIGHTS


def test_a_hub_that_does_not_come_back_leaves_what_arrived_for_another_process(hub, run):
    hub.cuts = [3000, 3000, *[0] * download.ATTEMPTS]   # the first is the small file
    code, _, err = run("taef1", "--yes")
    assert code == 1 and "cannot be reached" in err and "run the command again" in err
    assert missing(package("taef1")) == ["diffusion_pytorch_model.safetensors"], "a half is no package"
    hub.asked.clear()
    assert run("taef1", "--yes")[0] == 0
    assert [start for path, start in hub.asked if "resolve" in path] == [3000]
    assert (folder() / "diffusion_pytorch_model.safetensors").read_bytes() == WEIGHTS


def test_a_server_that_cannot_begin_in_the_middle_begins_anew(hub, run):
    hub.cuts, hub.ranges = [3000] * 3, False
    assert run("taef1", "--yes")[0] == 0
    assert (folder() / "diffusion_pytorch_model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize("name", ["config.json", "diffusion_pytorch_model.safetensors"])
def test_a_file_with_the_wrong_hash_is_refused_by_name(hub, run, name):
    """Large files go by sha256, small ones by the name that git gives their contents."""
    hub.damage.add(f"{REPOSITORY}/{name}")
    code, _, err = run("taef1", "--yes")
    assert code == 1 and f"{name} of {REPOSITORY} did not arrive as the hub has it" in err
    assert not (folder() / name).exists() and not list(folder().glob("*.part"))
    hub.damage.clear()
    assert run("taef1", "--yes")[0] == 0


def test_a_file_of_another_hash_than_is_known_is_not_even_fetched(hub, run):
    one = package("laion-aesthetic")
    hub.files[f"{one.repository}/{one.files[0]}"] = WEIGHTS
    code, _, err = run("laion-aesthetic", "--yes")
    assert code == 1 and f"has another {one.files[0]} by now" in err and not one.folder.exists()


def test_what_is_here_is_not_fetched_twice_and_can_be_read_again(hub, run):
    assert run("taef1", "--yes")[0] == 0
    hub.asked.clear()
    code, out, err = run("taef1", "--json")   # nothing to agree to
    assert code == 0 and json.loads(out)["packages"][0]["fetched"] == 0 and "all 2 files are here" in err
    assert not any("resolve" in path for path, _ in hub.asked)
    assert run("taef1", "--check")[0] == 0
    (folder() / "config.json").write_bytes(CONFIG.upper())
    code, _, err = run("taef1", "--check")
    assert code == 1 and f"{folder() / 'config.json'} is damaged" in err


def test_files_copied_here_by_hand_are_compared_with_what_is_known_of_them(hub, run):
    """An autoencoder beside the right one has the same shapes, and only its hash gives it away."""
    one = package("infinity-vae-d32reg")
    one.folder.mkdir(parents=True)
    (one.folder / one.files[0]).write_bytes(WEIGHTS)
    code, _, err = run(one.name, "--check")
    assert code == 1 and f"{one.folder / one.files[0]} is damaged" in err


def test_a_disk_that_is_too_small_is_told_before_the_first_byte(hub, run, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: USAGE(1, 1, 10**8))
    code, _, err = run("taef1", "--yes")
    assert code == 1 and "0.1 GB left" in err and "BEAMSCOPE_MODELS" in err
    assert not any("resolve" in path for path, _ in hub.asked)


def test_a_gated_repository_says_what_to_do(hub, run, monkeypatch):
    hub.gated.add(REPOSITORY)
    code, _, err = run("taef1", "--yes")
    assert code == 1 and f"{REPOSITORY} is gated" in err and "agree to its terms" in err and "HF_TOKEN" in err
    monkeypatch.setenv("HF_TOKEN", "bad")
    assert "has not been let in" in run("taef1", "--yes")[2]
    monkeypatch.setenv("HF_TOKEN", "good")
    assert run("taef1", "--yes")[0] == 0
    assert "log in at https://huggingface.co/black-forest-labs/FLUX.1-dev" in run("flux-dev", "--yes")[2]


def test_a_list_of_several_pages_is_read_to_its_end(hub, run):
    hub.page = 1
    assert run("taef1", "--yes")[0] == 0


@pytest.mark.parametrize("path", ["../config.json", "/config.json", "a/../../config.json", "c:config.json"])
def test_a_path_that_leads_elsewhere_is_refused(hub, run, path):
    hub.files[f"{REPOSITORY}/{path}"] = b"x"
    code, _, err = run("taef1", "--yes")
    assert code == 1 and "no plain path" in err and not folder().exists()


def test_a_model_brings_all_that_it_needs(hub, run, monkeypatch):
    monkeypatch.setitem(VERIFIERS, "both", Entry("", lambda: None, needs=Needs(("taef1", "taesd3"))))
    for name, data in (("config.json", CONFIG), ("diffusion_pytorch_model.safetensors", WEIGHTS)):
        hub.files[f"{package('taesd3').repository}/{name}"] = data
    code, out, _ = run("both", "--yes", "--json")
    assert code == 0 and [row["name"] for row in json.loads(out)["packages"]] == ["taef1", "taesd3"]


def test_without_a_network_terms_are_told_all_the_same(hub, run, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    code, _, err = run("infinity-2b", "--yes")
    assert code == 1 and "about 8.82 GB" in err and "MIT" in err and "cannot be reached" in err
    code, out, _ = run()
    assert code == 0 and "infinity-2b" in out and "FLUX.1 [dev] Non-Commercial (no commercial use" in out
