"""Whether a model could be used here is told at once: nothing is loaded, and the reason says what to do."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from core import machine as machines
from core.generators.registry import GENERATORS
from core.machine import Machine, limit_memory, machine, memory_limit, read_memory
from core.models.infinity.config import CONFIGS
from core.models.infinity.cost import Planner, decode_bytes, decode_flops, image_flops
from core.models.infinity.schedule import schedule_of
from core.models.infinity.vae import VAES
from core.packages.catalogue import PACKAGES, package
from core.packages.readiness import readiness, require, told
from core.registry import Entry, Needs
from core.search.errors import BadRequest, WeightsMissing
from core.verifiers.registry import VERIFIERS

ROOT = Path(__file__).parents[1]
FOREIGN = {name: entry for name, entry in (GENERATORS | VERIFIERS).items() if entry.foreign}
LAPTOP, CARD = Machine("cpu", 16 * 10**9, 4), Machine("cuda", 80 * 10**9, 2)


@pytest.fixture(autouse=True)
def nothing_here(tmp_path, monkeypatch):
    monkeypatch.setenv("BEAMSCOPE_MODELS", str(tmp_path))
    for name in ("BEAMSCOPE_MEMORY", "BEAMSCOPE_DEVICE", "BEAMSCOPE_DTYPE", "SPACES_ZERO_GPU"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def big(**needs):
    return Entry("large", lambda: pytest.fail("it was loaded"), needs=Needs(("taef1",), **needs))


def fill(folder):
    for path in package("taef1").needed:
        (folder / "taef1").mkdir(exist_ok=True)
        (folder / "taef1" / path).write_bytes(b"x")


def test_the_first_thing_in_the_way_is_told_with_its_remedy(nothing_here):
    """A machine that is too small before a package to install, that before a download."""
    entry = big(modules=("no_such_package>=2,<3",), parameters=10e9)
    found = readiness("big", entry, LAPTOP)
    assert found.state == "too large" and "needs about 40 GB of main memory, and there are 16 GB" in found.reason
    assert found.short == "needs 40 GB, has 16 GB"
    found = readiness("big", entry, CARD)
    assert found.state == "needs package" and "run pip install 'no_such_package>=2,<3'" in found.reason
    found = readiness("big", big(parameters=10e9), CARD)
    assert found.state == "needs download" and "python -m core.cli download big" in found.reason
    assert "MIT" in found.reason and found.short == "download 10 MB"
    fill(nothing_here)
    assert readiness("big", big(parameters=10e9), CARD).ready


def test_whether_it_fits_is_tried_where_somebody_insists(nothing_here):
    with pytest.raises(WeightsMissing, match="download big"):
        require("big", big(parameters=1e15))
    fill(nothing_here)
    require("big", big(parameters=1e15))


def test_a_text_encoder_makes_room_on_a_gpu_only():
    needs = Needs(parameters=2e9, before=3e9, working=1e9)
    assert needs.bytes_on("cuda", 2) == 3e9 * 2 + 1e9 and needs.bytes_on("cpu", 4) == 5e9 * 4 + 2e9


def test_what_goes_through_a_gpu_by_layers_fits_a_small_one():
    """A card of 24 GB makes pictures with 33 GB of networks."""
    needs = GENERATORS["flux-schnell"].needs
    assert needs.bytes_on("cuda", 2) < 8e9 and needs.bytes_on("cpu", 2) > 33e9


@pytest.mark.parametrize("name", FOREIGN)
def test_a_model_of_others_names_real_packages_and_says_what_it_takes(name):
    entry = FOREIGN[name]
    assert all(one in PACKAGES for one in entry.needs.packages) and entry.needs.parameters > 1e7
    row = told(name, entry)
    assert row["needs_bytes"] > 1e8 and row["has_bytes"] > 1e8 and row["packages"] and row["reason"]
    assert not row["ready"] and row["command"] == f"python -m core.cli download {name}"


@pytest.mark.parametrize("name", FOREIGN)
def test_without_its_weights_it_says_so_when_it_is_loaded_too(name):
    with pytest.raises(WeightsMissing, match="download"):
        FOREIGN[name].load()


@pytest.mark.parametrize("name", [name for name in FOREIGN if name.startswith("infinity")])
def test_what_infinity_needs_is_what_its_planner_says_of_one_image(name):
    config = CONFIGS[name]
    schedule = schedule_of(config, 1.0)
    plan, last = Planner(config, schedule), len(schedule.tokens) - 1
    picture = decode_bytes(VAES[config.vae], schedule.latent(), 2)
    needs = FOREIGN[name].needs
    assert needs.working == pytest.approx(plan.held(last) + max(plan.passing(last), picture), rel=0.05, abs=1e8)
    spent = image_flops(config, schedule) + decode_flops(VAES[config.vae], schedule.latent())
    assert needs.gflop == pytest.approx(spent / 1e9, rel=0.01)
    assert config.vae in needs.packages and f"{schedule.latent()[0] * config.stride} px" in FOREIGN[name].description


def test_the_list_imports_nothing_heavy():
    code = ("import json, sys; from core import cli; cli.main(['models', '--json']); "
            "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    table, loaded = map(json.loads, done.stdout.splitlines())
    assert not {"torch", "numpy", "transformers", "diffusers", "open_clip", "gradio", "huggingface_hub"} & set(loaded)
    rows = table["generators"] | table["verifiers"]
    assert {name for name, row in rows.items() if not row["ready"]} == set(FOREIGN)


@pytest.mark.parametrize("text, amount", [("8000", 8000 * 2**20), ("12GB", 12 * 10**9), ("1.5 gib", 3 * 2**29)])
def test_memory_is_read_in_the_units_people_use(text, amount):
    assert read_memory(text) == amount


@pytest.mark.parametrize("text", ["", "0", "much", "-3", "12 apples", "1e9"])
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(BadRequest, match="give MiB, such as 8000"):
        read_memory(text)


def test_a_limit_is_believed_and_the_environment_is_asked(monkeypatch):
    monkeypatch.setenv("BEAMSCOPE_MEMORY", "2GB")
    assert memory_limit() == 2 * 10**9 == machine().memory
    limit_memory("3GB")
    assert machine().memory == 3 * 10**9
    with pytest.raises(BadRequest):
        limit_memory("lots")


def test_the_driver_is_asked_only_for_a_torch_that_can_use_it(monkeypatch):
    monkeypatch.setattr(machines, "_cuda_memory", lambda index: [80, 40][index] * 10**9)
    assert machine() == Machine("cuda", 80 * 10**9, 2)
    monkeypatch.setenv("BEAMSCOPE_DEVICE", "cuda:1")
    monkeypatch.setenv("BEAMSCOPE_DTYPE", "float32")
    assert machine() == Machine("cuda", 40 * 10**9, 4)
    monkeypatch.setenv("BEAMSCOPE_DEVICE", "cpu")
    assert machine().device == "cpu" and machine().memory > 10**9
    torch = importlib.util.find_spec("torch")
    built = Path(torch.origin).with_name("version.py").read_text()
    assert machines._torch_has_cuda() == ("cuda: Optional[str] = None" not in built)
