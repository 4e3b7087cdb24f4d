"""A result knows how it was made, and looks as it did."""

import io
import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from core.search.errors import BadRequest
from core.search.tree import Tree
from core.store.result_png import KEYWORD, SIGNATURE, result_png, spec_in, with_spec
from tests.test_runs import stored
from tests.test_search import spec_of


@pytest.fixture
def result(tmp_path):
    """(store, run, events) of a run that is over."""
    return stored(tmp_path, width=2, branch=3, look="rollout")


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_the_spec_comes_back_and_the_pixels_stay(result):
    store, run, events = result
    png = result_png(store, run)
    assert spec_in(png) == events[0].spec
    with Image.open(io.BytesIO(png)) as ours, Image.open(store.best_image(run, Tree.of(events).best().id)) as kept:
        assert np.array_equal(np.asarray(ours), np.asarray(kept))
        assert json.loads(ours.text["beamscope"])["seed"] == 7


def test_a_spec_replaces_the_one_that_was_there(result):
    other = spec_of("greedy_tokens", {"branch": 2}, seed=3)
    png = with_spec(result_png(*result[:2]), other)
    assert spec_in(png) == other and png.count(b"beamscope\0") == 1


def test_without_the_lossless_picture_the_stored_one_is_taken(result):
    store, run, events = result
    store.best_image(run, Tree.of(events).best().id).unlink()
    assert spec_in(result_png(store, run)) == events[0].spec


def test_there_is_no_result_before_the_first_finished_image(tmp_path):
    store, run, events = stored(tmp_path, width=2, branch=3, look="preview")
    with store.create(events[0].spec) as writer:
        writer.append(events[0])
    with pytest.raises(BadRequest, match="no finished image yet"):
        result_png(store, writer.run)


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"null", b"[" * 50_000, b"\xff", b'{"prompt": "a"}', b"x" * 2**21])
def test_a_forged_spec_is_told(result, text):
    png = SIGNATURE + chunk(b"IHDR", bytes(13)) + chunk(b"tEXt", KEYWORD + b"\0" + text)
    with pytest.raises(BadRequest, match="damaged"):
        spec_in(png)


def test_a_spec_that_no_search_could_have_is_told(result):
    spec = result[2][0].spec.to_json()
    for change in ({"prompt": ["x"]}, {"seed": -1}, {"params": {"width": 10**9}}, {"strategy": "rm -rf"}, {"x": 1}):
        text = json.dumps({**spec, **change}).encode()
        with pytest.raises(BadRequest, match="damaged"):
            spec_in(SIGNATURE + chunk(b"IHDR", bytes(13)) + chunk(b"tEXt", KEYWORD + b"\0" + text))


@pytest.mark.parametrize("png", [b"", b"GIF89a", SIGNATURE, SIGNATURE + b"\xff" * 40, SIGNATURE + chunk(b"IEND", b"")])
def test_what_carries_no_spec_is_told(png):
    with pytest.raises(BadRequest):
        spec_in(png)
