"""Slim copies: the same network in bf16, made whole or not at all, and told apart from damaged ones."""

import json
import shutil
from hashlib import sha256

import pytest
import torch
from safetensors.torch import load_file

from core.models.infinity.checkpoint import load_transformer, load_vae
from core.models.infinity.config import CONFIGS
from core.models.infinity.text import TextEncoder
from core.packages import slim
from core.packages.command import check
from core.search.errors import BadRequest, DiskFull, DownloadFailed, WeightsMissing
from tests.infinity_released import release


def quiet(*told):
    pass


@pytest.fixture(params=["infinity-125m", "infinity-8b-512"])
def config(request, monkeypatch, tmp_path):
    """A released model, tiny, one file or shards; its files are in the folder of packages."""
    release(monkeypatch, tmp_path, request.param)
    return CONFIGS[request.param]


@pytest.fixture
def one(monkeypatch, tmp_path):
    release(monkeypatch, tmp_path)
    return CONFIGS["infinity-125m"]


def states(module):
    return module.state_dict().items()


def bits(tensors) -> bool:
    return all(torch.equal(a, b) and a.dtype == b.dtype for a, b in tensors)


def test_a_slim_copy_is_the_same_network_in_bf16(config):
    """Equal to the last bit where it is computed in bf16, and the originals are not needed any more."""
    official = slim.weights(config.name), slim.weights(config.vae), slim.weights("flan-t5-xl")
    before = load_transformer(config, official[0], dtype=torch.bfloat16).state_dict()
    before |= load_vae(config.vae, official[1], dtype=torch.bfloat16).state_dict()
    exact = load_transformer(config, official[0]).state_dict()
    features = [TextEncoder(official[2], dtype=dtype).encode(["a red cat"])[0]
                for dtype in (torch.bfloat16, torch.float32)]
    for name in (config.name, config.vae, "flan-t5-xl"):
        slim.convert(name, quiet)
        shutil.rmtree(slim.models_folder() / name)
    after = load_transformer(config, slim.weights(config.name), dtype=torch.bfloat16).state_dict()
    after |= load_vae(config.vae, slim.weights(config.vae), dtype=torch.bfloat16).state_dict()
    assert before.keys() == after.keys() and bits((before[key], after[key]) for key in before)
    for key, value in load_transformer(config, slim.weights(config.name)).state_dict().items():
        torch.testing.assert_close(value, exact[key], rtol=2**-8, atol=0)
    encoder = slim.weights("flan-t5-xl")
    assert torch.equal(TextEncoder(encoder, dtype=torch.bfloat16).encode(["a red cat"])[0], features[0])
    torch.testing.assert_close(TextEncoder(encoder).encode(["a red cat"])[0], features[1], rtol=0, atol=0.05)


def test_the_card_and_the_file_say_the_same(one):
    card = slim.convert(one.name, quiet)
    path = slim.folder(one.name) / slim.FILE
    tensors = load_file(path)
    assert card == json.loads((path.parent / slim.CARD).read_text())
    assert (card["sha256"], card["bytes"]) == (sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
    assert card["tensors"] == len(tensors)
    assert path.stat().st_size < 0.7 * (slim.models_folder() / card["made_from"]).stat().st_size


def test_an_autoencoder_keeps_the_decoder_and_t5_the_encoder(one):
    for name, prefixes in ((one.vae, ("decoder.",)), ("flan-t5-xl", ("encoder.", "shared."))):
        slim.convert(name, quiet)
        assert all(key.startswith(prefixes) for key in load_file(slim.folder(name) / slim.FILE))


def test_progress_grows_to_the_whole(one):
    seen = []
    slim.convert(one.name, lambda *told: seen.append(told))
    written = [done for name, done, total in seen if name == one.name]
    assert written == sorted(written) and len(written) > 50
    assert written[-1] == seen[-1][2] == (slim.folder(one.name) / slim.FILE).stat().st_size


def test_a_second_conversion_only_checks_and_a_damaged_copy_is_made_anew(one):
    slim.convert(one.name, quiet)
    path, written = slim.folder(one.name) / slim.FILE, []
    slim.convert(one.name, lambda name, *sizes: written.append(name))
    assert set(written) == {f"checking {slim.FILE}"}
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert slim.here(one.name) and not slim.intact(one.name, quiet)
    slim.convert(one.name, quiet)
    assert path.read_bytes() == whole and slim.intact(one.name, quiet)


def test_a_check_reads_slim_copies_too(one):
    slim.convert(one.name, quiet)
    package = slim.package(one.name)
    shutil.rmtree(package.folder)
    assert check([package]) == [{"name": one.name, "folder": str(slim.folder(one.name)), "damaged": []}]
    with open(slim.folder(one.name) / slim.FILE, "r+b") as file:
        file.seek(-1, 2)
        file.write(b"?")
    with pytest.raises(DownloadFailed, match=f"{package.command}, then python -m core.cli convert {one.name}"):
        check([package])
    with pytest.raises(DownloadFailed, match="lacks"):
        check([slim.package("infinity-2b")])


def test_a_broken_off_conversion_leaves_what_was_there(one):
    def stop(name, done, total):
        if name == one.name and done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        slim.convert(one.name, stop)
    assert not slim.here(one.name) and list((slim.models_folder() / "slim").iterdir()) == []
    assert slim.weights(one.name).suffix == ".pth"
    (slim.folder(one.name).with_name(f"{one.name}.part")).mkdir()  # of one that was killed
    slim.convert(one.name, quiet)
    path = slim.folder(one.name) / slim.FILE
    path.write_bytes(path.read_bytes()[:-9])  # cut short: not taken for a copy
    assert slim.weights(one.name).suffix == ".pth"


def test_what_cannot_be_converted_is_told(one, monkeypatch):
    with pytest.raises(BadRequest, match="infinity-2b, infinity-8b"):
        slim.convert("flux-dev", quiet)
    with pytest.raises(WeightsMissing, match="core.cli download infinity-2b"):
        slim.convert("infinity-2b", quiet)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(DiskFull, match="free some space"):
        slim.convert(one.name, quiet)


def test_the_released_file_is_read_once_to_tell_that_it_is_that(one, monkeypatch):
    path, reads, digest = slim.weights(one.vae), [], slim._sha256
    monkeypatch.setattr(slim, "_sha256", lambda *given: reads.append(given[0]) or digest(*given))
    assert slim.weights(one.vae) == path and not reads
    path.write_bytes(path.read_bytes())
    assert slim.weights(one.vae) == path and reads == [path], "it may have changed"


def test_the_wrong_autoencoder_of_the_right_shape_is_told(one):
    """d32 and d32reg have the same shapes, and only one of them fits: the released file's hash tells."""
    path = slim.weights(one.vae)
    released = path.read_bytes()
    path.write_bytes(released + b"another")
    for use in (slim.weights, lambda name: slim.convert(name, quiet)):
        with pytest.raises(WeightsMissing, match="is not the released file"):
            use(one.vae)
    path.write_bytes(released)
    slim.weights(one.name).write_bytes(slim.weights(one.vae).read_bytes())
    with pytest.raises(WeightsMissing, match="it is an autoencoder of 8 channels"):
        slim.convert(one.name, quiet)
