"""Text features: equal however they come, never padded, kept on disk within bounds, and the encoder makes room."""

import gc
import json
import shutil
import weakref

import pytest
import torch
from safetensors.torch import load_file, save_file

from core.models.infinity import text, tiny
from core.models.infinity.text import TextEncoder
from core.search.errors import WeightsMissing

SHORT, LONG = "a red cat", "a photo of a blue house on the left of a green tree, and three stars"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write_text_encoder(tmp_path_factory.mktemp("t5"))


@pytest.fixture
def loads(monkeypatch):
    """What was loaded: the models, with the shape of each input they were given."""
    seen, real = [], text._load

    def counted(*arguments):
        tokenizer, model = real(*arguments)
        inputs = []
        model.register_forward_pre_hook(
            lambda module, args, kwargs: inputs.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True)
        seen.append(inputs)
        return tokenizer, model

    monkeypatch.setattr(text, "_load", counted)
    return seen


def padded(folder, prompt, length=64):
    """As the official code: padded, masked, and the real tokens kept."""
    from transformers import AutoTokenizer, T5EncoderModel

    tokenizer = AutoTokenizer.from_pretrained(folder)
    given = tokenizer([prompt], padding="max_length", max_length=length, return_tensors="pt")
    with torch.no_grad():
        features = T5EncoderModel.from_pretrained(folder)(**given).last_hidden_state[0]
    return features[given.attention_mask[0].bool()]


def test_features_are_those_of_the_padded_official_way_without_padding(folder, loads):
    found = TextEncoder(folder).encode([SHORT, LONG, ""])
    for prompt, features in zip([SHORT, LONG, ""], found, strict=True):
        torch.testing.assert_close(features, padded(folder, prompt), atol=1e-5, rtol=0)
    assert loads == [[(1, len(features)) for features in found]]
    assert [len(features) for features in found] == [4, 19, 1]  # a letter for the plural, a comma, the end


def test_a_batch_equals_each_alone(folder):
    together = TextEncoder(folder).encode([SHORT, LONG, SHORT])
    for prompt, features in zip([SHORT, LONG, SHORT], together, strict=True):
        assert torch.equal(TextEncoder(folder).encode([prompt])[0], features)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_kept_features_are_the_computed_ones_and_the_encoder_stays_away(folder, loads, dtype, tmp_path):
    first = TextEncoder(folder, dtype=dtype, cache=tmp_path).encode([SHORT, LONG])
    again = TextEncoder(folder, dtype=dtype, cache=tmp_path).encode([LONG, SHORT])
    assert len(loads) == 1
    assert torch.equal(first[0], again[1]) and torch.equal(first[1], again[0])
    assert all(features.dtype == torch.float32 for features in first + again)


def test_other_files_or_numbers_are_other_features(folder, loads, tmp_path):
    cache, other = tmp_path / "cache", tiny.write_text_encoder(tmp_path / "other", seed=1)
    first = TextEncoder(folder, cache=cache).encode([SHORT])[0]
    assert not torch.equal(TextEncoder(other, cache=cache).encode([SHORT])[0], first)
    TextEncoder(folder, dtype=torch.bfloat16, cache=cache).encode([SHORT])
    assert len(loads) == 3


def test_what_is_kept_is_bounded_and_the_longest_unread_goes(folder, loads, tmp_path):
    size = 100 + 4 * 256 * 4  # of a file with four tokens, its header included, at least
    encoder = TextEncoder(folder, cache=tmp_path, cache_bytes=2 * size + 200)
    encoder.encode(["a red cat"])
    encoder.encode(["a red dog"])
    encoder.encode(["a red cat"])  # read again: the dog is the longest unread
    encoder.encode(["a red car"])
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= encoder.cache.most_bytes
    before = len(loads)
    encoder.encode(["a red cat", "a red car"])
    assert len(loads) == before
    encoder.encode(["a red dog"])
    assert len(loads) == before + 1


def test_a_damaged_or_unwritable_cache_costs_only_time(folder, loads, tmp_path):
    expected = TextEncoder(folder, cache=tmp_path / "kept").encode([SHORT])[0]
    next((tmp_path / "kept").iterdir()).write_bytes(b"damaged")
    assert torch.equal(TextEncoder(folder, cache=tmp_path / "kept").encode([SHORT])[0], expected)
    (tmp_path / "file").write_text("in the way")
    assert torch.equal(TextEncoder(folder, cache=tmp_path / "file").encode([SHORT])[0], expected)
    assert len(loads) == 3


def test_the_encoder_is_gone_from_the_cpu_after_a_prompt(folder, monkeypatch):
    made, real = [], text._load
    monkeypatch.setattr(text, "_load", lambda *given: made.append(real(*given)) or made[-1])
    encoder = TextEncoder(folder)
    encoder.encode([SHORT])
    model = weakref.ref(made.pop()[1])
    gc.collect()
    assert model() is None and encoder.encode([SHORT])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_encoder_leaves_a_gpu_and_comes_back(folder, loads):
    encoder, before = TextEncoder(folder, device="cuda"), torch.cuda.memory_allocated()
    for prompt in (SHORT, LONG):
        torch.testing.assert_close(encoder.encode([prompt]), TextEncoder(folder).encode([prompt]), atol=1e-4, rtol=0)
        assert torch.cuda.memory_allocated() == before
    assert len(loads) == 3  # once for the GPU, once for each on the CPU


def test_a_long_prompt_is_cut_where_training_cut_it(folder):
    assert len(TextEncoder(folder).encode(["cat " * 600])[0]) == text.MOST_TOKENS


def test_files_that_are_no_encoder_are_told(folder, tmp_path):
    """The library would fill what is missing with random numbers and a warning."""
    broken = shutil.copytree(folder, tmp_path / "broken")
    index = next(broken.glob("*.index.json"))
    told = json.loads(index.read_text())
    lost = [key for key in told["weight_map"] if key.endswith("DenseReluDense.wo.weight")]
    for key in lost:
        shard = broken / told["weight_map"].pop(key)
        save_file({name: value for name, value in load_file(shard).items() if name != key}, shard, {"format": "pt"})
    index.write_text(json.dumps(told))
    with pytest.raises(WeightsMissing, match=r"encoder\.block\.0.* and 1 more tensors.*download flan-t5-xl"):
        TextEncoder(broken).encode([SHORT])
    with pytest.raises(WeightsMissing, match="download flan-t5-xl"):
        TextEncoder(tmp_path / "nowhere").encode([SHORT])
