"""A package of somebody else brings a generator, a verifier and a strategy: installed, they are everywhere ours are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLUGIN = ROOT / "tests" / "plugin"
BROKEN = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "beamscope-broken"
version = "1.0"
[project.entry-points."beamscope.generators"]
missing = "beamscope_broken:nothing"
emoji-fake = "beamscope_broken:fine"
[project.entry-points."beamscope.verifiers"]
untold = "beamscope_broken:untold"
clip_score = "beamscope_broken:fine"
late = "beamscope_broken:late"
[project.entry-points."beamscope.strategies"]
typeless = "beamscope_broken:typeless"
[tool.setuptools]
py-modules = ["beamscope_broken"]
"""
BROKEN_MODULE = '''\
def fine():
    """A model"""
def untold():
    return None
def late():
    """Fails only when it is loaded"""
    raise OSError("its weights   are gone")
def typeless(search, width=3):
    """Its parameter has no range"""
'''


def install(source: Path, target: Path) -> None:
    """As a person does, without network; the source is built in a copy."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--no-build-isolation", "--no-index", "--target", str(target), str(source)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that the example package is installed in."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("target")
    for name in ("pyproject.toml", "beamscope_dice.py"):
        (source / name).write_text((PLUGIN / name).read_text())
    install(source, target)
    return target


@pytest.fixture(scope="module")
def with_broken(installed, tmp_path_factory):
    """The same, and beside it a package of which nothing works."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("broken")
    (source / "pyproject.toml").write_text(BROKEN)
    (source / "beamscope_broken.py").write_text(BROKEN_MODULE)
    install(source, target)
    return f"{target}{os.pathsep}{installed}"


def python(path, runs, *args):
    env = {**os.environ, "PYTHONPATH": f"{path}{os.pathsep}{ROOT}", "BEAMSCOPE_RUNS": str(runs)}
    return subprocess.run([sys.executable, *args], cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)


def command_line(path, runs, *args):
    return python(path, runs, "-m", "core.cli", *args)


def models(path, runs, *flags):
    done = command_line(path, runs, "models", "--json", *flags)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def search(path, runs, *args):
    return command_line(path, runs, "search", "anything at all", "--generator", "dice", "--strategy", "reroll",
                        "--verifier", "pips", "--observers", "none", *args)  # fmt: skip


def test_all_three_are_listed_and_ready(installed, tmp_path):
    table = models(installed, tmp_path)
    assert table["generators"]["dice"] == {
        "description": "Four dice thrown one after another; the prompt is not read", "ready": True, "reason": None,
    }  # fmt: skip
    assert table["verifiers"]["pips"] == {
        "description": "Counts the pips of all dice", "ready": True, "reason": None,
    }  # fmt: skip
    reroll = table["strategies"]["reroll"]
    assert reroll["description"] == "Throw every die a few times and keep a share of the throws."
    assert {name: param["default"] for name, param in reroll["params"].items()} == {
        "throws": 6, "share": 0.5, "enough": None, "order": "best_first",
    }  # fmt: skip
    refused = set(reroll["not_for"])
    assert "emoji-flow" in refused and "dice" not in refused, "a function branches everywhere unless it says otherwise"
    assert "broken" not in table


def test_a_search_with_all_three_takes_their_flags(installed, tmp_path):
    done = search(installed, tmp_path, "--throws", "8", "--share", "0.25", "--order", "as_thrown", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["strategy"] == "reroll" and found["best"]["scores"] == {"pips": found["best"]["score"]}
    assert 4 <= found["best"]["score"] <= 24 and Path(found["best"]["image"]).is_file()
    assert search(installed, tmp_path, "--enough", "3").returncode == 0
    resumed = command_line(installed, tmp_path, "resume", found["run"], "1", "--strategy", "beam_search",
                           "--observers", "none")  # fmt: skip
    assert resumed.returncode == 0, resumed.stderr


@pytest.mark.parametrize("flags, sentence", [
    (["--throws", "33"], "throws 33 is impossible: it is a whole number from 1 to 32"),
    (["--share", "1.5"], "share 1.5 is impossible: it is a number from 0 to 1"),
    (["--enough", "25"], "enough 25 is impossible: it is a number from 0 to 24, or off"),
    (["--order", "sorted"], "order 'sorted' is impossible: it is best_first or as_thrown"),
])
def test_what_their_schema_does_not_allow_is_refused_in_its_words(installed, tmp_path, flags, sentence):
    done = search(installed, tmp_path, *flags)
    assert (done.returncode, done.stderr) == (2, f"error: {sentence}\n")


def test_the_page_has_their_controls(installed, tmp_path):
    script = """
import json
from pathlib import Path
from core.store.runs import RunStore
from core.search.strategies.registry import STRATEGIES
from demo import settings
from demo.context import make_context
from demo.embedded import embedded_models
from demo.layout import build_page, predicted
from demo.panel import show_model
models, store = embedded_models(), RunStore()
page = build_page(make_context(models, store))
shown = [block for block in page.blocks.values() if getattr(block, "label", None)]
models.ready.set()
values = dict.fromkeys(settings.parameter_names()) | {
    ("reroll", param.name): param.default for param in STRATEGIES["reroll"].params
}
fixed = ["dice", "reroll", "pips", "", 4, 1, "7", False]
print(json.dumps({
    "controls": {block.label: {name: getattr(block, name, None) for name in (
        "minimum", "maximum", "step", "value", "placeholder", "choices")} for block in shown},
    "estimate": predicted(models, (*fixed, *values.values())),
}))
"""
    done = python(installed, tmp_path, "-c", script)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    controls = found["controls"]

    def facts(label, *names):
        return [controls[label][name] for name in names]

    assert ["dice", "dice"] in controls["Model"]["choices"]
    assert ["reroll", "reroll"] in controls["Strategy"]["choices"]
    assert ["pips", "pips"] in controls["Verifier that guides"]["choices"]
    assert facts("Throws", "minimum", "maximum", "step", "value") == [1, 32, 1, 6]
    assert facts("Share", "minimum", "maximum", "step", "value") == [0, 1, 0.01, 0.5]
    assert facts("Enough", "value", "placeholder") == [None, "off"]
    assert controls["Order"]["choices"] == [["best first", "best_first"], ["as thrown", "as_thrown"]]
    assert "Predicted:" in json.dumps(found["estimate"])


def test_the_reference_tells_of_them(installed, tmp_path):
    done = command_line(installed, tmp_path, "models", "--markdown")
    assert done.returncode == 0, done.stderr
    assert "| `dice` | Four dice thrown one after another; the prompt is not read |" in done.stdout
    assert "| `pips` | Counts the pips of all dice |" in done.stdout
    assert "| `reroll` | Throw every die a few times" in done.stdout
    assert "`throws` (6), `share` (0.5), `enough` (off), `order` (best_first)" in done.stdout


def test_a_broken_plug_in_takes_nothing_down_and_its_reason_is_told(with_broken, tmp_path):
    table = models(with_broken, tmp_path, "--load")
    reasons = {name: row["reason"] for name, row in table["broken"].items()}
    assert set(reasons) == {
        "generators/missing", "generators/emoji-fake", "verifiers/untold", "verifiers/clip_score",
        "strategies/typeless",
    }  # fmt: skip
    assert "nothing" in reasons["generators/missing"]
    assert reasons["generators/emoji-fake"] == "the name emoji-fake is taken"
    assert reasons["verifiers/clip_score"] == "the name clip_score is taken"
    assert "docstring" in reasons["verifiers/untold"]
    assert "width" in reasons["strategies/typeless"] and "Range" in reasons["strategies/typeless"]
    assert table["verifiers"]["late"]["reason"] == "its weights are gone" and table["verifiers"]["clip_score"]["ready"]
    assert table["generators"]["dice"]["ready"]
    assert search(with_broken, tmp_path).returncode == 0
