"""Packages of weights: where they lie, when they are whole, and what is told of them where they are not."""

import json
import re

import pytest

from core.packages.catalogue import PACKAGES, RECEIPT, located, matches, missing, package
from core.search.errors import BadRequest, WeightsMissing


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BEAMSCOPE_MODELS", str(tmp_path))
    return tmp_path


def put(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"x")


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_that_is_not_here_says_how_to_get_it(name):
    with pytest.raises(WeightsMissing) as caught:
        located(name)
    said = str(caught.value)
    assert f"python -m core.cli download {name}" in said and PACKAGES[name].licence in said
    assert re.search(r"about [\d.]+ [GM]B|size unknown", said)


def test_an_unknown_package_is_refused_with_the_names_there_are():
    with pytest.raises(BadRequest, match="unknown package 'infinity': choose one of infinity-125m, infinity-2b"):
        located("infinity")


def test_files_are_found_under_their_repository_names(folder):
    put(folder / "infinity-125m", "infinity_125M_256x256.pth")
    assert (located("infinity-125m") / "infinity_125M_256x256.pth").is_file()


def test_every_shard_that_an_index_names_has_to_be_there(folder):
    home = folder / "infinity-8b"
    index = home / "infinity_8b_weights" / "model.safetensors.index.json"
    put(home, "infinity_8b_weights/a.safetensors")
    index.write_text(json.dumps({"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}))
    with pytest.raises(WeightsMissing, match="b.safetensors"):
        located("infinity-8b")
    put(home, "infinity_8b_weights/b.safetensors")
    assert located("infinity-8b") == home


def test_a_download_that_was_begun_is_whole_only_with_all_its_files(folder):
    home = folder / "taef1"
    put(home, "config.json", "diffusion_pytorch_model.safetensors")
    assert not missing(package("taef1"))
    (home / RECEIPT).write_text(json.dumps({"config.json": {}, "extra.json": {}}))
    assert missing(package("taef1")) == ["extra.json"]


@pytest.mark.parametrize("path, taken", [
    ("model_index.json", True), ("transformer/diffusion_pytorch_model-00001-of-00003.safetensors", True),
    ("tokenizer_2/spiece.model", True), ("flux1-schnell.safetensors", False), ("README.md", False),
    ("vae/nested/config.json", False), ("text_encoder_2/model.fp16.safetensors", False),
])  # fmt: skip
def test_of_a_pipeline_only_the_parts_are_fetched(path, taken):
    """The single-file copy, as large again, stays on the hub; so do copies in half precision."""
    assert matches(path, package("flux-schnell").files) == taken


def test_what_must_not_be_sold_says_so_first():
    with pytest.raises(WeightsMissing, match="Non-Commercial .no commercial use; an account"):
        located("flux-dev")
