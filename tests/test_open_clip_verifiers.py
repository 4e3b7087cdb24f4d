"""`clip_score-l14` and `aesthetic-laion`, on a small random CLIP in open_clip's layout and a head in LAION's."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from core.search.errors import BadRequest, WeightsMissing
from core.verifiers import laion_aesthetic, open_clip_score
from core.verifiers.laion_aesthetic import FILE, LaionAesthetic, load_head
from core.verifiers.open_clip_score import OpenClip, OpenClipScore, load_clip
from tests.test_models import peak_bytes

CONFIG = {
    "embed_dim": 24, "quick_gelu": True,
    "vision_cfg": {"image_size": 56, "layers": 2, "width": 64, "patch_size": 14},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}  # fmt: skip
PREPROCESSING = {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711],
                 "interpolation": "bicubic", "resize_mode": "shortest"}  # fmt: skip
PROMPT = "a red car to the left of a tree"


def published_head(width=24):
    """Random tensors with the keys and shapes of sac+logos+ava1-l14-linearMSE.pth."""
    torch.manual_seed(1)
    sizes = {0: (1024, width), 2: (128, 1024), 4: (64, 128), 6: (16, 64), 7: (1, 16)}
    matrices = {f"layers.{n}.weight": torch.randn(shape) / shape[1] ** 0.5 for n, shape in sizes.items()}
    return matrices | {f"layers.{n}.bias": torch.randn(shape[0]) for n, shape in sizes.items()}


def save_packages(root):
    """Both packages as they are downloaded."""
    from open_clip.model import CLIP

    clip, laion = root / "clip-vit-l-14", root / "laion-aesthetic"
    clip.mkdir(), laion.mkdir()
    torch.manual_seed(0)
    save_file(CLIP(**CONFIG).state_dict(), clip / "open_clip_model.safetensors")
    (clip / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": PREPROCESSING}))
    torch.save(published_head(), laion / FILE)
    return root


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    return save_packages(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def clip(packages):
    return load_clip(packages / "clip-vit-l-14", "cpu", torch.float32)


@pytest.fixture(scope="module")
def aesthetic(packages, clip):
    return LaionAesthetic(clip, load_head(packages / "laion-aesthetic" / FILE, clip))


@pytest.fixture(params=["clip_score-l14", "aesthetic-laion"])
def verifier(request, clip, aesthetic):
    found = {one.name: one for one in (OpenClipScore(clip), aesthetic)}
    return found[request.param]


def images(count=4, shape=(70, 90)):
    return np.random.default_rng(0).integers(0, 256, (count, *shape, 3), np.uint8)


def test_the_score_is_the_cosine_by_open_clip_s_own_calls(packages, clip):
    import open_clip

    name = f"local-dir:{packages / 'clip-vit-l-14'}"
    model, see = open_clip.create_model_from_pretrained(name)
    seen = model.encode_image(torch.stack([see(Image.fromarray(image)) for image in images()]))
    cosines = torch.cosine_similarity(seen, model.encode_text(open_clip.get_tokenizer(name)([PROMPT])))
    assert OpenClipScore(clip).score(PROMPT, images()) == pytest.approx((100 * cosines).tolist(), abs=1e-4)


def test_the_aesthetic_score_is_the_published_layers_on_the_unit_embedding(aesthetic, clip):
    x = torch.nn.functional.normalize(clip.model.encode_image(torch.stack(
        [clip.transform(Image.fromarray(image)) for image in images()])), dim=-1)  # fmt: skip
    layers = published_head()
    for number in (0, 2, 4, 6, 7):
        x = x @ layers[f"layers.{number}.weight"].T + layers[f"layers.{number}.bias"]
    assert aesthetic.score(PROMPT, images()) == pytest.approx(x[:, 0].tolist(), abs=1e-5)
    assert aesthetic.score(PROMPT, images()) == aesthetic.score("", images()), "blind to the prompt"


def test_a_score_does_not_depend_on_the_rest_of_the_batch(verifier):
    together = verifier.score(PROMPT, images())
    alone = [verifier.score(PROMPT, image[None])[0] for image in images()]
    assert together == pytest.approx(alone, abs=1e-4) and len(set(together)) == 4
    assert all(isinstance(score, float) and np.isfinite(score) for score in together)


def test_the_price_is_what_torch_counts(verifier):
    for prompt in ("a cat", PROMPT * 20):
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            verifier.score(prompt, images(1))
        assert verifier.cost.flops_verifier == pytest.approx(counter.get_total_flops(), rel=0.02)
    assert verifier.cost.verifier_calls == 1


def test_the_real_clip_has_its_parameters_and_its_price():
    """ViT-L/14 as open_clip builds it, without weights."""
    import open_clip

    with torch.device("meta"):
        model = open_clip.model.CLIP(**open_clip.get_model_config("ViT-L-14-quickgelu")).eval()
        pixels, ids = torch.zeros(1, 3, 224, 224), torch.zeros(1, 77, dtype=torch.long)
    real = OpenClipScore(OpenClip(model, None, None))
    assert sum(p.numel() for p in model.parameters()) == 427_616_513
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
        model.encode_image(pixels), model.encode_text(ids)
    assert real.cost.flops_verifier == pytest.approx(counter.get_total_flops(), rel=0.001)


def test_the_memory_is_about_what_is_said():
    """On a layer wide enough to be the real one's peak."""
    from open_clip.model import CLIP

    wide = CONFIG | {"vision_cfg": CONFIG["vision_cfg"] | {"width": 256, "image_size": 112}}
    found = OpenClip(CLIP(**wide).eval().requires_grad_(False), None, None)
    pixels = torch.zeros(8, 3, 112, 112)
    few, many = (peak_bytes(lambda n=n: found.model.encode_image(pixels[:n])) for n in (4, 8))
    assert 1 / 1.5 < found.image_bytes() / ((many - few) / 4) < 1.5


def test_both_hold_one_clip(packages, monkeypatch):
    monkeypatch.setenv("BEAMSCOPE_MODELS", str(packages))
    monkeypatch.setenv("BEAMSCOPE_DEVICE", "cpu")
    score, look = open_clip_score.load(), laion_aesthetic.load()
    assert score.clip.model is look.clip.model
    assert look.weights_bytes > score.weights_bytes, "and the head"


@pytest.mark.parametrize("module", [open_clip_score, laion_aesthetic])
def test_without_their_packages_both_say_how_to_get_them(module, monkeypatch, tmp_path):
    monkeypatch.setenv("BEAMSCOPE_MODELS", str(tmp_path))
    with pytest.raises(WeightsMissing, match=rf"python -m core.cli download {module.PACKAGE}"):
        module.load()


def test_a_clip_that_is_damaged_or_another_is_named(packages, tmp_path):
    good = packages / "clip-vit-l-14"
    config = (good / "open_clip_config.json").read_text()
    (tmp_path / "open_clip_config.json").write_text(config)
    with pytest.raises(WeightsMissing, match=f"{tmp_path} .*download clip-vit-l-14"):
        load_clip(tmp_path, "cpu", torch.float32)
    whole = (good / "open_clip_model.safetensors").read_bytes()
    (tmp_path / "open_clip_model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsMissing, match="open_clip cannot load"):
        load_clip(tmp_path, "cpu", torch.float32)
    (tmp_path / "open_clip_model.safetensors").write_bytes(whole)
    (tmp_path / "open_clip_config.json").write_text(config.replace('"embed_dim": 24', '"embed_dim": 25'))
    with pytest.raises(WeightsMissing, match="open_clip cannot load"):
        load_clip(tmp_path, "cpu", torch.float32)


def test_a_head_of_another_clip_is_named(tmp_path, clip):
    torch.save(published_head(512), tmp_path / FILE)
    with pytest.raises(WeightsMissing, match=r"linearMSE.pth.*layers.0.weight \[1024, 512\] instead of \[1024, 24\]"):
        load_head(tmp_path / FILE, clip)


def test_half_precision_says_about_the_same(packages, clip):
    half = OpenClipScore(load_clip(packages / "clip-vit-l-14", "cpu", torch.bfloat16))
    assert half.score(PROMPT, images()) == pytest.approx(OpenClipScore(clip).score(PROMPT, images()), abs=1)


def test_images_of_another_kind_are_refused(verifier):
    with pytest.raises(BadRequest, match="uint8"):
        verifier.score(PROMPT, images().astype(np.float32))
