"""Where real models run: what the person said, else the best there is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from core.cli import main
from core.place import DEVICE, DTYPE, Place, choose, place
from core.search.errors import BadRequest

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def untold(monkeypatch):
    """Nobody has said anything; what a test says is forgotten."""
    for name in (DEVICE, DTYPE):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.parametrize("cuda, mps, best", [
    (True, True, Place("cuda", "bfloat16")), (False, True, Place("mps", "float32")),
    (False, False, Place("cpu", "float32")),
])  # fmt: skip
def test_the_best_device_is_taken_unless_another_is_wanted(cuda, mps, best, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert place() == best
    choose("cpu", None)
    assert place() == Place("cpu", "float32")
    choose(None, "float16")
    assert place() == Place("cpu", "float16"), "what was said before holds"


def test_one_of_several_cards_is_taken_where_it_is_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    choose("cuda:1", None)
    assert place() == Place("cuda:1", "bfloat16")
    choose("cuda:2", None)
    with pytest.raises(BadRequest, match="no cuda:2 here.*sees 2 CUDA devices: choose auto or cpu"):
        place()


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "mps"])
def test_a_device_that_is_not_there_is_refused_with_what_is(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    choose(device, None)
    with pytest.raises(BadRequest, match=f"no {device}.* here.*choose auto"):
        place()


@pytest.mark.parametrize("flags, words", [
    (["--device", "gpu"], "unknown device 'gpu': choose auto, cpu, mps, cuda"),
    (["--dtype", "int8"], "unknown dtype 'int8': choose auto, float32, bfloat16, float16"),
])
def test_what_is_no_place_is_refused_before_anything_is_loaded(flags, words, capsys):
    assert main(["search", "a red car", *flags]) == 2
    assert words in capsys.readouterr().err


def test_a_wrong_word_in_the_environment_is_refused_by_name():
    env = {**os.environ, "PYTHONPATH": str(ROOT), DEVICE: "tpu"}
    done = subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "unknown device 'tpu'" in done.stderr and DEVICE in done.stderr
