"""Laws of the committed weights: whole, small, half precision, and each with its card and its sample sheet."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from safetensors import safe_open

from core.models.weights import FOLDER, sha256

MODELS = ("tokenizer", "next_scale", "flow", "image_reward", "judge", "clip_score", "aesthetic")
FILES = sorted(FOLDER.rglob("*.safetensors"))
TOLD = {"name", "about", "data", "seed", "steps", "images_seen", "minutes", "hardware", "command", "metrics"}


def file_of(name):
    return FOLDER / name / "open_clip_model.safetensors" if name == "clip_score" else FOLDER / f"{name}.safetensors"


def card_of(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


@pytest.fixture(params=MODELS)
def name(request):
    return request.param


def test_every_file_and_every_card_is_of_a_known_model():
    assert sorted(map(file_of, MODELS)) == FILES
    assert {path.stem for path in FOLDER.glob("*.json")} == set(MODELS)


def test_the_card_is_of_this_file(name):
    assert card_of(name)["sha256"] == sha256(file_of(name))


def test_the_card_tells_how_the_model_came_about(name):
    card, page = card_of(name), (FOLDER / f"{name}.md").read_text()
    assert set(card) >= TOLD and card["name"] == name
    assert card["command"].startswith(f"python -m core.training.{name} ")
    assert min(card["steps"], card["images_seen"], card["minutes"]) > 0 and card["metrics"]
    for key in ("sha256", "command", "data", "hardware"):
        assert card[key] in page, key
    assert all(metric in page for metric in card["metrics"])


def test_there_is_a_sheet_to_look_at(name):
    with Image.open(FOLDER / f"{name}.png") as sheet:
        sheet.load()
        assert min(sheet.size) >= 256


def test_weights_are_half_precision_and_as_many_as_the_card_says(name):
    with safe_open(file_of(name), "pt") as file:
        tensors = {key: file.get_slice(key) for key in file.keys()}   # noqa: SIM118  it is no mapping
    assert {tensor.get_dtype() for tensor in tensors.values()} <= {"F16", "I64"}
    count = sum(math.prod(tensor.get_shape()) for key, tensor in tensors.items() if ".running_" not in key)
    assert count == pytest.approx(card_of(name)["parameters"], rel=1e-3)   # a few measured constants are no parameters


def test_the_weights_stay_small():
    sizes = [path.stat().st_size for path in FILES]
    assert max(sizes) < 16 * 2**20 and sum(sizes) < 64 * 2**20


LOAD_ALL = """
import time
from pathlib import Path
from core.generators.registry import GENERATORS, load_generator
from core.verifiers.registry import VERIFIERS, load_verifier
import open_clip

began = time.perf_counter()
for known, load in ((GENERATORS, load_generator), (VERIFIERS, load_verifier)):
    for name, entry in known.items():
        if not entry.foreign:
            load(name)
[peak] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(time.perf_counter() - began, int(peak.split()[1]) / 2**20)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux to read its peak memory")
def test_all_of_them_load_in_three_seconds_and_a_gigabyte():
    """Beyond the libraries, of whose seconds we are not the masters; the gigabyte holds them too."""
    said = subprocess.run([sys.executable, "-c", LOAD_ALL], capture_output=True, text=True, check=True).stdout
    seconds, gigabytes = map(float, said.split())
    assert seconds < 3 and gigabytes < 1
