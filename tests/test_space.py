"""The README's head configures a Hugging Face Space, and what it says is true here."""

import re
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

import app
from core.packages.catalogue import PACKAGES
from core.packages.command import wanted
from core.search.errors import DownloadFailed

ROOT = Path(__file__).parents[1]
HEAD = yaml.safe_load((ROOT / "README.md").read_text().split("---\n")[1])
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def test_the_head_is_what_a_space_asks_for():
    assert HEAD["sdk"] == "gradio" and (ROOT / HEAD["app_file"]).is_file()
    assert {HEAD["colorFrom"], HEAD["colorTo"]} <= COLOURS
    assert len(HEAD["short_description"]) <= 60 and HEAD["license"] == "mit"
    assert tuple(map(int, HEAD["python_version"].split("."))) >= (3, 11)


def test_its_gradio_is_one_that_the_requirements_allow():
    low, high = re.search(r"gradio\S*>=(\S+?),<(\d+)", (ROOT / "requirements.txt").read_text()).groups()
    told = tuple(map(int, HEAD["sdk_version"].split(".")))
    assert tuple(map(int, low.split("."))) <= told < (int(high),)
    assert told[:2] == tuple(map(int, version("gradio").split(".")[:2])), "the one that was tested"


def test_it_names_every_model_that_can_be_fetched():
    assert set(HEAD["models"]) == {repository for one in PACKAGES.values() for repository, _ in one.sources}


def test_a_download_that_fails_keeps_no_page_from_being_served(monkeypatch, capsys):
    def unreachable(packages, yes):
        assert [one.name for one in packages] == ["infinity-125m", "infinity-vae-d16", "flan-t5-xl"] and yes
        raise DownloadFailed("the hub cannot be reached")

    monkeypatch.setattr(app, "fetch", unreachable)
    app._fetched(wanted(["infinity-125m"]))
    assert capsys.readouterr().err == "error: the hub cannot be reached\n"


@pytest.mark.parametrize("variable, option", [("GRADIO_SERVER_NAME", "--host"), ("BEAMSCOPE_FETCH", "--fetch")])
def test_what_the_environment_says_is_taken(monkeypatch, capsys, variable, option):
    monkeypatch.setenv(variable, "infinity-125m")
    monkeypatch.setattr(sys, "argv", ["app.py"])
    seen = {}
    monkeypatch.setattr(app, "build_app", lambda *_, **__: None)
    monkeypatch.setattr(app, "fetch", lambda packages, yes: seen.update(fetch=[one.name for one in packages][0]))
    monkeypatch.setattr(app.uvicorn, "run", lambda *_, host, **__: seen.update(host=host))
    app.main()
    assert seen[option[2:]] == "infinity-125m"
