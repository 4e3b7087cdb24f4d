"""A person's way with Infinity, on tiny official files: fetch, convert, delete the originals, search, see the tree."""

import json
import shutil
from base64 import b64decode
from dataclasses import replace
from io import BytesIO
from unittest.mock import patch

import numpy as np
import pytest
from PIL import Image

from core import cli
from core.decoding import decoded
from core.generators.registry import GENERATORS
from core.models.infinity import text
from core.packages import slim
from core.packages.catalogue import PACKAGES
from core.registry import Entry, lazy
from core.search.tree import Tree
from core.store.runs import RunStore
from core.verifiers.registry import VERIFIERS
from demo import view
from tests.hub import Hub, served
from tests.infinity_released import release
from tests.toy import Brightness

PROMPT = "a red cat on the left of a blue house"
MODELS = {"infinity-125m": "load_125m", "infinity-8b-512": "load_8b_512"}


@pytest.fixture(params=MODELS)
def model(request, monkeypatch, tmp_path):
    """A tiny model on a local hub as the released one; nothing of it on this machine."""
    name, source = request.param, tmp_path / "hub"
    release(monkeypatch, source, name)
    needed = GENERATORS[name].needs
    files = {f"{PACKAGES[package].repository}/{path.relative_to(source / package).as_posix()}": path.read_bytes()
             for package in needed.packages for path in (source / package).rglob("*") if path.is_file()}
    for variable, folder in (("MODELS", "models"), ("CACHE", "cache"), ("RUNS", "runs")):
        monkeypatch.setenv(f"BEAMSCOPE_{variable}", str(tmp_path / folder))
    monkeypatch.setenv("BEAMSCOPE_DEVICE", "cpu")
    monkeypatch.setenv("BEAMSCOPE_DTYPE", "bfloat16")  # in which slim weights are the official ones
    fresh = replace(GENERATORS[name], load=lazy(f"core.generators.infinity:{MODELS[name]}"))
    small = replace(fresh, needs=replace(needed, parameters=1e6, before=1e6, working=1e8))
    with (patch.dict(GENERATORS, {name: small}), patch.dict(VERIFIERS, clear=True), served(Hub(files)) as address):
        VERIFIERS["brightness"] = Entry("mean pixel", Brightness)
        monkeypatch.setenv("HF_ENDPOINT", address)
        yield name


@pytest.fixture
def command(capsys):
    def command(*args):
        code = cli.main([*args, "--json"])
        out, err = capsys.readouterr()
        assert code == 0, err
        return json.loads(out)

    return command


def test_from_the_hub_to_the_tree(model, command, monkeypatch, tmp_path):
    search = ("search", PROMPT, "--generator", model, "--verifier", "brightness", "--width", "1", "--branch", "2",
              "--look", "preview", "--seed", "3")
    assert command("models")["generators"][model]["state"] == "needs download"
    assert cli.main(list(search)) == 2  # refused, with what to do; nothing is loaded

    fetched = command("download", model, "--yes")["packages"]
    first = command(*search)
    for card in command("convert", model)["packages"]:
        assert slim.intact(card["name"], lambda *told: None)
    for row in fetched:
        shutil.rmtree(row["folder"])
    assert command("models")["generators"][model]["state"] == "ready"

    GENERATORS[model] = replace(GENERATORS[model], load=lazy(f"core.generators.infinity:{MODELS[model]}"))
    reads, load = [], text._load
    monkeypatch.setattr(text, "_load", lambda *given: reads.append(given) or load(*given))
    slimmed, again = command(*search), command(*search)
    assert len(reads) == 1, "the prompt's features are kept"
    assert slimmed["best"]["score"] == again["best"]["score"]

    tree, official = (Tree.of(RunStore().load(result["run"])) for result in (again, first))
    assert [node.state for node in tree.nodes.values()] == [node.state for node in official.nodes.values()]
    steps = GENERATORS[model].load().num_steps
    assert len(tree.nodes) == 1 + 2 * steps and tree.end.reason == "done"
    rows = view.rows(tree)
    assert len(rows) == len(tree.nodes) and json.dumps(view.frame(tree, 0, {}, rows))
    assert command("replay", again["run"]) == again

    lost = next(node for node in tree.nodes.values() if node.step == 3 and node.status == "pruned")
    image, _ = decoded(GENERATORS[model].load(), tree, lost)  # of a dropped candidate, from its bits alone
    seen = Image.open(BytesIO(RunStore().image(again["run"], lost.id, "preview")))
    assert np.abs(np.asarray(seen).astype(int) - image).mean() < 8  # it was stored as a JPEG
    assert len(b64decode(lost.state)) < 1000
