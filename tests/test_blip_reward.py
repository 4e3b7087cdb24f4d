"""ImageReward on transformers' parts is the original, from its own file format to its last digit.

tests/data/blip_reward/make.py made the reference with the original's classes.
"""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from torch.utils.flop_counter import FlopCounterMode

from core.models import blip_reward
from core.models.blip_reward import BlipReward, BlipRewardConfig, load_official, official
from core.search.errors import BadRequest, WeightsMissing
from core.verifiers.blip_reward import load_from
from core.verifiers.clip_pixels import clip_pixels
from tests.data.blip_reward import make
from tests.test_models import peak_bytes

TINY = BlipRewardConfig(
    side=make.SIDE, patch=make.PATCH, vision_width=make.VISION, vision_layers=make.VISION_LAYERS,
    vision_heads=make.VISION_HEADS, text_width=make.TEXT, text_layers=make.TEXT_LAYERS, text_heads=make.TEXT_HEADS,
    text_hidden=make.TEXT_HIDDEN, vocabulary=make.VOCABULARY, positions=64,
)  # fmt: skip
PROMPT = make.PROMPTS[0]


def reference() -> dict[str, torch.Tensor]:
    return load_file(make.FILE)


def official_weights() -> dict[str, torch.Tensor]:
    """Every tensor of the original, by its own keys: the file lists them."""
    with safe_open(make.FILE, "pt") as file:
        keys = [line.rsplit(" [", 1) for line in file.metadata()["keys"].splitlines()]
    shapes = {key: tuple(int(n) for n in shape.strip("]").split(",") if n) for key, shape in keys}
    floats = make.weights({key: shape for key, shape in shapes.items() if not key.endswith("position_ids")})
    return floats | {key: torch.arange(64)[None] for key in shapes if key.endswith("position_ids")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A package as it is downloaded."""
    folder = tmp_path_factory.mktemp("image-reward")
    torch.save(official_weights(), folder / "ImageReward.pt")
    (folder / "vocab.txt").write_text("\n".join(make.WORDS), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def scorer(folder):
    return load_from(folder, "cpu", torch.float32, TINY)


def images(count=4, shape=(48, 40)):
    return np.random.default_rng(0).integers(0, 256, (count, *shape, 3), np.uint8)


def test_rewards_are_the_original_s(scorer):
    said = reference()
    with torch.inference_mode():
        tokens = scorer.reward.vision(said["pixels"]).last_hidden_state
        rewards = scorer.reward(said["pixels"], said["ids"], said["mask"])
    assert (tokens - said["tokens"]).abs().max() < 1e-5
    assert (rewards - said["rewards"]).abs().max() < 1e-5


def test_prompts_are_cut_into_words_as_the_original_does(scorer):
    """Case, accents, dashes, CJK, unknown words, none at all, and more than fit."""
    ids = torch.cat([scorer.words(prompt)[0] for prompt in make.PROMPTS])
    assert torch.equal(ids, reference()["word_ids"])
    masks = torch.cat([scorer.words(prompt)[1] for prompt in make.PROMPTS])
    assert torch.equal(masks, (ids > 0).long())


def test_images_are_prepared_as_the_original_does():
    said = reference()
    assert (clip_pixels(said["images"].numpy(), make.SIDE) - said["pixels"]).abs().max() < 1e-6


@pytest.mark.parametrize("shape", [(40, 64), (64, 40), (32, 32), (20, 23), (333, 32)])
def test_images_of_any_shape_are_prepared_as_torchvision_does(shape):
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

    see = Compose([Resize(32, InterpolationMode.BICUBIC), CenterCrop(32)])
    [image] = images(1, shape)
    mean, std = (np.asarray(v, np.float32) for v in ((0.48145466, 0.4578275, 0.40821073),
                                                     (0.26862954, 0.26130258, 0.27577711)))  # fmt: skip
    expected = (np.asarray(see(Image.fromarray(image)), np.float32) / 255 - mean) / std
    assert np.allclose(clip_pixels(image[None], 32)[0].permute(1, 2, 0).numpy(), expected, atol=1e-6)


def test_the_real_model_has_the_published_parameters():
    """620 tensors and 446 M parameters behind the 625 published keys; its price, counted without its weights."""
    with torch.device("meta"):
        model = BlipReward().eval()
        pixels, ids = torch.zeros(1, 3, 224, 224), torch.ones(1, blip_reward.WORDS, dtype=torch.long)
    assert len(model.state_dict()) == 620
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(446e6, rel=0.002)
    with FlopCounterMode(display=False) as counter:
        model(pixels, ids, None)
    assert model.flops() == pytest.approx(counter.get_total_flops(), rel=0.001)


def test_what_the_score_does_not_use_is_dropped_and_nothing_else():
    published = official_weights()
    dropped = set(published) - {key for key in published if len(official({key: published[key]})) == 1}
    assert dropped == {"blip.vision_proj.weight", "blip.vision_proj.bias", "blip.text_proj.weight",
                       "blip.text_proj.bias", "blip.text_encoder.embeddings.position_ids"}  # fmt: skip


@pytest.mark.parametrize("change, said", [
    ({"mlp.layers.7.bias": None}, "lacks mlp.layers.7.bias"),
    ({"blip.visual_encoder.head.weight": torch.ones(1)}, "unknown here, vision.head.weight"),
    ({"mlp.layers.7.bias": torch.ones(2)}, r"mlp.layers.7.bias \[2\] instead of \[1\]"),
])  # fmt: skip
def test_a_file_that_does_not_fit_is_named_with_what_is_wrong(tmp_path, change, said):
    tensors = {key: value for key, value in (official_weights() | change).items() if value is not None}
    with pytest.raises(WeightsMissing, match=f"ImageReward.pt.*{said}"):
        load_official(tensors, tmp_path / "ImageReward.pt", TINY)


def test_a_package_that_is_not_whole_is_named(tmp_path, folder):
    (tmp_path / "vocab.txt").write_text("\n".join(make.WORDS), encoding="utf-8")
    with pytest.raises(WeightsMissing, match="ImageReward.pt is missing"):
        load_from(tmp_path, "cpu", torch.float32, TINY)
    (tmp_path / "ImageReward.pt").write_bytes((folder / "ImageReward.pt").read_bytes()[:5000])
    with pytest.raises(WeightsMissing, match="cannot be read"):
        load_from(tmp_path, "cpu", torch.float32, TINY)


def test_a_score_does_not_depend_on_the_rest_of_the_batch(scorer):
    together = scorer.score(PROMPT, images())
    alone = [scorer.score(PROMPT, image[None])[0] for image in images()]
    assert together == pytest.approx(alone, abs=1e-5) and len(set(together)) == 4
    assert all(isinstance(score, float) and np.isfinite(score) for score in together)


def test_every_word_that_fits_counts_and_none_that_does_not(scorer):
    said = scorer.score(PROMPT, images(1))
    assert said != scorer.score(PROMPT.replace("red", "left"), images(1))
    assert said == scorer.score(PROMPT.upper(), images(1)), "uncased"
    full = " ".join(["red"] * (blip_reward.WORDS - 2))  # [CLS] and [SEP] are the other two
    assert scorer.score(full, images(1)) == scorer.score(f"{full} car", images(1))
    assert scorer.score("", images(1))


def test_the_price_is_what_torch_counts(scorer):
    for prompt in ("a car", PROMPT * 9):
        with FlopCounterMode(display=False) as counter:
            scorer.score(prompt, images(1))
        assert scorer.cost.flops_verifier == pytest.approx(counter.get_total_flops(), rel=0.02)
    assert scorer.cost.verifier_calls == 1


def test_the_memory_is_about_what_is_said():
    """On a layer wide enough to be the real one's peak; the tiny model's is its pixels."""
    config = BlipRewardConfig(side=128, patch=16, vision_width=256, vision_layers=2, vision_heads=4, text_width=24,
                              text_layers=1, text_heads=3, text_hidden=48, vocabulary=60, positions=64)  # fmt: skip
    model = BlipReward(config).eval().requires_grad_(False)
    ids = torch.ones(8, blip_reward.WORDS, dtype=torch.long)
    pixels = torch.zeros(8, 3, 128, 128)
    few, many = (peak_bytes(lambda n=n: model(pixels[:n], ids[:n], ids[:n])) for n in (4, 8))
    assert 1 / 1.5 < model.image_bytes() / ((many - few) / 4) < 1.5


def test_half_precision_says_about_the_same(folder, scorer):
    half = load_from(folder, "cpu", torch.bfloat16, TINY)
    assert half.weights_bytes == pytest.approx(scorer.weights_bytes / 2, rel=0.01)
    assert half.score(PROMPT, images()) == pytest.approx(scorer.score(PROMPT, images()), abs=0.1)


def test_images_of_another_kind_are_refused(scorer):
    with pytest.raises(BadRequest, match="uint8"):
        scorer.score(PROMPT, images().astype(np.float32))
