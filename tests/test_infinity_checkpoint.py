"""Official files of Infinity: every form loads to the same network, back and forth, and a wrong file is told apart."""

import json
from dataclasses import replace
from math import prod
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from core.models.infinity import tiny
from core.models.infinity.checkpoint import (
    likeness,
    load_transformer,
    load_vae,
    official_transformer,
    official_vae,
    transformer_weights,
)
from core.models.infinity.config import CONFIGS
from core.models.infinity.transformer import InfinityTransformer
from core.search.errors import WeightsMissing

TINY = CONFIGS["tiny"]
TOLD = {  # keys and billions of parameters of the released files
    "infinity-125m": (274, 0.1252), "infinity-2b": (694, 2.2047),
    "infinity-8b": (862, 8.3761), "infinity-8b-512": (862, 8.3761),
}  # fmt: skip


def equal(ours, theirs) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


# Key tables


@pytest.mark.parametrize("name", TOLD)
def test_the_network_has_the_official_keys_shapes_and_size(name):
    """`official_shapes` is written from the files' description and knows no network; the two must meet."""
    config = CONFIGS[name]
    with torch.device("meta"):
        weights = InfinityTransformer(config).state_dict()
    found = {key: tuple(value.shape) for key, value in official_transformer(weights, config.chunks).items()}
    assert found == tiny.official_shapes(config)
    billions = sum(prod(shape) for shape in found.values()) / 1e9
    assert (len(found), round(billions, 4)) == TOLD[name]


# Every official form


def _fsdp(weights):
    """As a training run saves it: deep inside, behind a compiler's prefix, heads on another axis, odd extras."""
    inner = {f"module._orig_mod.{key}": value for key, value in weights.items()}
    inner = {key: value.transpose(1, 2) if key.endswith("scale_mul_1H11") else value for key, value in inner.items()}
    extras = {"lvl_1L": torch.zeros(1, 9), "attn_bias_for_masking": torch.zeros(1, 1, 9, 9)}
    return {"epoch": 1, "trainer": {"gpt_fsdp": inner | extras, "gpt_opt": {"step": 4}}}


def _uncut(weights):
    """Blocks in one list instead of chunks."""
    ours = {}
    for key, value in weights.items():
        parts = key.split(".")
        if parts[0] == "block_chunks":
            parts = ["blocks", str(int(parts[1]) * TINY.blocks_per_chunk + int(parts[3])), *parts[4:]]
        ours[".".join(parts)] = value
    return ours


def _parameters(weights):
    """As modules hold them: parameters and tensors that carry notes, which are stored in another way."""
    for value in weights.values():
        value.note = "sharded"
    return {key: torch.nn.Parameter(value) if number % 2 else value
            for number, (key, value) in enumerate(weights.items())}


FORMS = {
    "pth": lambda folder: tiny.write_transformer(folder / "one.pth", TINY),
    "training run": lambda folder: tiny.write_transformer(folder / "run.pth", TINY, pack=_fsdp),
    "parameters": lambda folder: tiny.write_transformer(folder / "parameters.pth", TINY, pack=_parameters),
    "uncut": lambda folder: tiny.write_transformer(folder / "uncut.pth", TINY, pack=_uncut),
    "before zip": lambda folder: _old(folder / "old.pth"),
    "shards": lambda folder: tiny.write_shards(folder / "shards", TINY),
    "folder of one": lambda folder: tiny.write_transformer(folder / "folder" / "one.pth", TINY).parent,
}


def _old(path):
    torch.save(tiny.official_weights(TINY), path, _use_new_zipfile_serialization=False)
    return path


@pytest.mark.parametrize("form", FORMS)
def test_every_form_loads_to_the_same_network_and_goes_back(form, tmp_path):
    model = load_transformer(TINY, FORMS[form](tmp_path))
    assert equal(official_transformer(model.state_dict(), TINY.chunks), tiny.official_weights(TINY))
    assert not any(one.requires_grad or one.grad_fn or one.is_meta for one in model.parameters())


def test_loading_maps_the_file_and_the_network_does_not_hang_on_it(tmp_path):
    path = tiny.write_transformer(tmp_path / "one.pth", TINY)
    mapped = transformer_weights(path)["head.weight"]
    if Path("/proc/self/maps").exists():
        assert str(path) in Path("/proc/self/maps").read_text()
    model = load_transformer(TINY, path)
    before = model.head.weight.clone()
    mapped.zero_()  # of the mapping only, not of the file
    assert torch.equal(model.head.weight, before)
    assert torch.equal(load_transformer(TINY, path).head.weight, before)


def test_matrices_of_blocks_take_the_dtype_and_the_rest_stays_exact(tmp_path):
    path = tiny.write_transformer(tmp_path / "one.pth", TINY)
    exact, half = load_transformer(TINY, path).state_dict(), load_transformer(TINY, path, dtype=torch.bfloat16)
    changed = {key.split(".", 2)[2] for key, value in half.state_dict().items() if value.dtype == torch.bfloat16}
    assert changed == {"sa.mat_qkv.weight", *(f"{layer}.{part}" for part in ("weight", "bias") for layer in (
        "sa.proj", "ca.mat_q", "ca.proj", "ffn.fc1", "ffn.fc2")), "ca.mat_kv.weight"}
    for key, value in half.state_dict().items():
        assert torch.equal(value, exact[key].to(value.dtype))
    placed = InfinityTransformer(TINY).placed("cpu", torch.bfloat16).state_dict()
    assert {key: value.dtype for key, value in placed.items()} == {
        key: value.dtype for key, value in half.state_dict().items()}


@pytest.mark.parametrize("package", ["tiny-vae", "tiny-vae-patchify"])
def test_an_autoencoder_loads_and_goes_back(package, tmp_path):
    path = tiny.write_vae(tmp_path / "vae.pth", package)
    made = tiny.random_vae(package)
    vae = load_vae(package, path, encoder=True)
    assert equal(official_vae(vae), official_vae(made))
    assert load_vae(package, path).encoder is None
    latent = torch.randn(1, vae.config.latent_channels, 2, 3)
    assert torch.equal(load_vae(package, path).decode(latent), made.decode(latent))


def test_an_autoencoder_may_have_bare_names(tmp_path):
    made = tiny.random_vae()
    bare = {key.replace(".conv.conv.", ".conv.").replace(".norm.", ".") if "norm" in key
            else key.replace("sample.conv.conv.", "sample.conv.") if "sample" in key
            else key.replace(".conv.", "."): value for key, value in made.state_dict().items()}
    assert "decoder.conv_in.weight" in bare and "encoder.down.0.downsample.conv.weight" in bare
    torch.save(bare, tmp_path / "bare.pth")
    assert equal(load_vae("tiny-vae", tmp_path / "bare.pth", encoder=True).state_dict(), made.state_dict())


# Wrong files


def _told(load) -> str:
    with pytest.raises(WeightsMissing) as error:
        load()
    return str(error.value)


def test_another_model_is_named(tmp_path):
    """Users load the wrong autoencoder or an 8B for a 2B and get noise: here each is called by its name."""
    vae = tiny.write_vae(tmp_path / "vae.pth")
    other_vae = tiny.write_vae(tmp_path / "other.pth", "tiny-vae-patchify")
    transformer = tiny.write_transformer(tmp_path / "one.pth", TINY)
    other = tiny.write_shards(tmp_path / "other", CONFIGS["tiny-patchify"])
    text = tiny.write_text_encoder(tmp_path / "t5")
    cases = [
        (lambda: load_transformer(TINY, vae), vae, "an autoencoder of 8 channels at 1/16 size, as tiny-vae", "tiny"),
        (lambda: load_transformer(TINY, other), other, "a transformer of 4 blocks, 128 wide, for 24 bits a token, as "
         "tiny-patchify", "tiny"),
        (lambda: load_transformer(TINY, text), text, "a T5 text encoder", "tiny"),
        (lambda: load_vae("tiny-vae", other_vae), other_vae, "an autoencoder of 6 channels at 1/8 size, as "
         "tiny-vae-patchify", "tiny-vae"),
        (lambda: load_vae("tiny-vae", transformer), transformer, "a transformer of 4 blocks", "tiny-vae"),
    ]
    for load, path, like, package in cases:
        told = _told(load)
        assert str(path) in told and f"it is {like}" in told, told
        assert told.endswith(f"core.cli download {package}"), told


def test_the_transformer_of_another_size_is_named(tmp_path):
    """With the true configurations on shapes alone: 8B where 2B belongs."""
    other = replace(TINY, depth=2, dim=256, latent_channels=16)
    path = tiny.write_transformer(tmp_path / "other.pth", other)
    told = _told(lambda: load_transformer(replace(TINY, name="infinity-2b"), path))
    assert "a transformer of 2 blocks, 256 wide, for 16 bits a token. Of" in told
    weights = tiny.official_shapes(CONFIGS["infinity-8b"])
    like = "a transformer of 40 blocks, 3584 wide, for 56 bits a token, as infinity-8b or infinity-8b-512"
    assert likeness(weights) == like


@pytest.mark.parametrize(("change", "told"), [
    (lambda w: w.pop("head.bias"), "1 missing: head.bias"),
    (lambda w: w.update({"extra.weight": torch.zeros(3)}), "1 unexpected: extra.weight"),
    (lambda w: w.update({"head.bias": torch.zeros(3)}), "1 of another shape: head.bias (3,) instead of (16,)"),
    (lambda w: [w.pop(key) for key in list(w) if ".ffn." in key], "16 missing: blocks.0.ffn.fc1.bias"),
])  # fmt: skip
def test_nothing_stays_random(change, told, tmp_path):
    """A public loader skips what does not fit and draws noise; here the keys are said."""
    weights = tiny.official_weights(TINY)
    change(weights)
    torch.save(weights, tmp_path / "one.pth")
    assert told in _told(lambda: load_transformer(TINY, tmp_path / "one.pth"))


def test_damaged_and_foreign_files_are_told(tmp_path):
    path = tiny.write_transformer(tmp_path / "one.pth", TINY)
    (tmp_path / "cut.pth").write_bytes(path.read_bytes()[:-1000])
    (tmp_path / "text.safetensors").write_bytes(b"<html>not found</html>")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"step": 3}, tmp_path / "step.pth")
    torch.save({"code": print}, tmp_path / "code.pth")  # would run at loading if pickles were trusted
    for name, told in (("cut.pth", "damaged"), ("text.safetensors", "damaged"), ("list.pth", "list"),
                       ("step.pth", "step, which are no tensors"), ("code.pth", "more than tensors"),
                       ("nowhere.pth", "is missing")):
        message = _told(lambda: load_transformer(TINY, tmp_path / name))  # noqa: B023  (called at once)
        assert str(tmp_path / name) in message and told in message and "download" in message


def test_a_lost_or_exchanged_shard_is_named(tmp_path):
    folder = tiny.write_shards(tmp_path / "shards", TINY)
    first, second, _ = sorted(folder.glob("*.safetensors"))
    kept = second.read_bytes()
    second.write_bytes(first.read_bytes())
    assert second.name in _told(lambda: load_transformer(TINY, folder))
    second.unlink()
    assert f"{second} is missing" in _told(lambda: load_transformer(TINY, folder))
    second.write_bytes(kept)
    index = next(folder.glob("*.index.json"))
    index.write_text(json.dumps({"metadata": {}}))
    assert "does not say where" in _told(lambda: load_transformer(TINY, folder))
    index.unlink()
    assert "3 files of weights" in _told(lambda: load_transformer(TINY, folder))


def test_a_slim_autoencoder_has_no_encoder(tmp_path):
    decoder = {key: value for key, value in tiny.random_vae().state_dict().items() if key.startswith("decoder.")}
    save_file(decoder, tmp_path / "slim.safetensors")
    assert load_vae("tiny-vae", tmp_path / "slim.safetensors").encoder is None
    assert "the decoder only" in _told(lambda: load_vae("tiny-vae", tmp_path / "slim.safetensors", encoder=True))
