"""`pickscore` on a small random CLIP in transformers' layout."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from core.search.errors import BadRequest, WeightsMissing
from core.verifiers import pickscore
from core.verifiers.clip_pixels import clip_pixels
from core.verifiers.pickscore import PickScore, load_from
from tests.test_models import peak_bytes

PROMPT = "a red car to the left of a tree"
SPECIAL = ["<|startoftext|>", "<|endoftext|>", "<|unknown|>"]


def config(**vision):
    from transformers import CLIPConfig

    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    return CLIPConfig(
        text_config=small | {"vocab_size": 20, "max_position_embeddings": 77, "eos_token_id": 1, "bos_token_id": 0,
                             "hidden_act": "gelu"},
        vision_config=small | {"image_size": 56, "patch_size": 14, "hidden_act": "gelu"} | vision, projection_dim=24,
    )  # fmt: skip


def save_tokenizer(folder):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *dict.fromkeys(PROMPT.split())])}
    words = Tokenizer(models.WordLevel(vocabulary, SPECIAL[2]))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        f"{SPECIAL[0]} $A {SPECIAL[1]}", special_tokens=[(SPECIAL[0], 0), (SPECIAL[1], 1)]
    )
    start, end, unknown = SPECIAL
    PreTrainedTokenizerFast(tokenizer_object=words, bos_token=start, eos_token=end, unk_token=unknown,
                            pad_token=end).save_pretrained(folder)  # fmt: skip


def save_package(root):
    """A package as it is downloaded, with the positions that older files list."""
    from transformers import CLIPModel

    folder = root / "pickscore"
    torch.manual_seed(0)
    CLIPModel(config()).save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    tensors["vision_model.embeddings.position_ids"] = torch.arange(17)[None]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    save_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_package(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def scorer(folder):
    return load_from(folder, "cpu", torch.float32)


def images(count=4, shape=(70, 90)):
    return np.random.default_rng(0).integers(0, 256, (count, *shape, 3), np.uint8)


def test_the_score_is_the_stock_model_s_logit(scorer):
    """As its page computes it: the model's scale times the cosine; padding is not read."""
    ids = scorer.tokenizer(PROMPT, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logits = scorer.model(input_ids=ids, pixel_values=clip_pixels(images(), 56)).logits_per_text[0]
    assert scorer.score(PROMPT, images()) == pytest.approx(logits.tolist(), abs=1e-5)


def test_a_score_does_not_depend_on_the_rest_of_the_batch(scorer):
    together = scorer.score(PROMPT, images())
    alone = [scorer.score(PROMPT, image[None])[0] for image in images()]
    assert together == pytest.approx(alone, abs=1e-5) and len(set(together)) == 4
    assert all(isinstance(score, float) and np.isfinite(score) for score in together)
    assert together != scorer.score("a tree", images())


def test_the_price_is_what_torch_counts(scorer):
    for prompt in ("", "a car", PROMPT * 30):
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            scorer.score(prompt, images(1))
        assert scorer.cost.flops_verifier == pytest.approx(counter.get_total_flops(), rel=0.02)


def test_the_real_model_has_its_parameters_and_about_the_price_told():
    """CLIP ViT-H/14, without weights."""
    from transformers import CLIPConfig, CLIPModel

    real = CLIPConfig(
        text_config={"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
                     "hidden_act": "gelu"},
        vision_config={"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "patch_size": 14,
                       "num_attention_heads": 16, "hidden_act": "gelu"}, projection_dim=1024,
    )  # fmt: skip
    with torch.device("meta"):
        model = CLIPModel(real)
    assert sum(p.numel() for p in model.parameters()) == 986_109_441
    assert PickScore(model, None).cost.flops_verifier == pytest.approx(0.38e12, rel=0.05)


def test_the_memory_is_about_what_is_said(scorer):
    """On a layer wide enough to be the real one's peak."""
    from transformers import CLIPModel

    wide = CLIPModel(config(hidden_size=256, intermediate_size=1024, image_size=112)).eval().requires_grad_(False)
    found = PickScore(wide, scorer.tokenizer)
    few, many = (peak_bytes(lambda n=n: found.score(PROMPT, images(n))) for n in (4, 8))
    assert 1 / 1.5 < found.image_bytes / ((many - few) / 4) < 1.5


def test_without_its_package_it_says_how_to_get_it(monkeypatch, tmp_path, folder):
    monkeypatch.setenv("BEAMSCOPE_MODELS", str(tmp_path))
    with pytest.raises(WeightsMissing, match="python -m core.cli download pickscore"):
        pickscore.load()
    monkeypatch.setenv("BEAMSCOPE_MODELS", str(folder.parent))
    monkeypatch.setenv("BEAMSCOPE_DEVICE", "cpu")
    assert pickscore.load().name == "pickscore"


def test_a_checkpoint_that_does_not_fit_is_named(folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("logit_scale")
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsMissing, match=f"{tmp_path}.*missing keys logit_scale"):
        load_from(tmp_path, "cpu", torch.float32)
    (tmp_path / "model.safetensors").write_bytes(b"half a file")
    with pytest.raises(WeightsMissing, match=f"{tmp_path}.*download it again"):
        load_from(tmp_path, "cpu", torch.float32)
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(WeightsMissing, match="no tokenizer"):
        load_from(tmp_path, "cpu", torch.float32)


def test_half_precision_says_about_the_same(folder, scorer):
    half = load_from(folder, "cpu", torch.bfloat16)
    assert half.score(PROMPT, images()) == pytest.approx(scorer.score(PROMPT, images()), abs=0.1)


def test_images_of_another_kind_are_refused(scorer):
    with pytest.raises(BadRequest, match="uint8"):
        scorer.score(PROMPT, images().astype(np.float32))
