"""Laws of the verifiers, on committed pictures of the emoji world (tests/data, named by what they show)."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from core.models import weights
from core.search.errors import BadRequest, WeightsMissing
from core.verifiers import aesthetic, clip_score, image_reward, judge
from core.verifiers.registry import VERIFIERS, load_verifier
from core.world.captions import words
from tests.test_models import peak_bytes

DATA = Path(__file__).parent / "data"
LEFT = "a red car to the left of a tree"


def picture(name: str) -> np.ndarray:
    with Image.open(DATA / f"{name}.png") as image:
        return np.asarray(image.convert("RGB"))


def pictures(*names: str) -> np.ndarray:
    return np.stack([picture(name) for name in names])


ALL = pictures(*sorted(path.stem for path in DATA.glob("*.png")))
BLANK = np.full((128, 128, 3), 235, np.uint8)


@pytest.fixture(params=[name for name, entry in VERIFIERS.items() if not entry.foreign])
def verifier(request):
    return load_verifier(request.param)


def test_a_score_does_not_depend_on_the_rest_of_the_batch(verifier):
    alone = [verifier.score(LEFT, image[None])[0] for image in ALL]
    assert verifier.score(LEFT, ALL) == pytest.approx(alone, abs=1e-4)


def test_the_same_question_gets_the_same_answer(verifier):
    first = verifier.score(LEFT, ALL)
    assert all(isinstance(value, float) and np.isfinite(value) for value in first)
    assert verifier.score(LEFT, ALL) == first


def test_the_price_is_what_torch_counts(verifier):
    """For one image, whatever the length of the prompt."""
    for prompt in ("a cat", LEFT):
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            verifier.score(prompt, ALL[:1])
        assert verifier.cost.flops_verifier == pytest.approx(counter.get_total_flops(), rel=0.02)
    assert verifier.cost.verifier_calls == 1


def test_the_memory_is_about_what_is_said(verifier):
    """Working memory: what eight more images add to the peak. Weights: fp32, of files that are fp16."""
    images = np.stack([BLANK] * 16)
    few, many = (peak_bytes(lambda n=n: verifier.score(LEFT, images[:n])) for n in (8, 16))
    assert 1 / 1.5 < verifier.image_bytes / ((many - few) / 8) < 1.5
    if verifier.name != "aesthetic":  # its file holds the head alone
        file = weights.FOLDER / verifier.name / "open_clip_model.safetensors"
        file = file if file.exists() else weights.FOLDER / f"{verifier.name}.safetensors"
        assert verifier.weights_bytes == pytest.approx(2 * file.stat().st_size, rel=0.05)


def test_a_faithful_picture_beats_a_blank_one(verifier):
    faithful, blank = verifier.score(LEFT, np.stack([picture("red_car_left_of_tree"), BLANK]))
    assert faithful > blank


def test_images_of_another_kind_are_refused(verifier):
    with pytest.raises(BadRequest, match="uint8"):
        verifier.score(LEFT, ALL.astype(np.float32))
    with pytest.raises(BadRequest, match="resize"):
        verifier.score(LEFT, ALL[:, :64, :64])


@pytest.mark.parametrize("name", ["image_reward", "judge"])
@pytest.mark.parametrize(
    "prompt, right, wrong",
    [
        (LEFT, "red_car_left_of_tree", "red_car_right_of_tree"),
        ("a tree to the left of a red car", "red_car_right_of_tree", "red_car_left_of_tree"),
        (LEFT, "red_car_left_of_tree", "blue_car_left_of_tree"),
        ("three cats", "three_cats", "two_cats"),
        ("2 kittens", "two_cats", "three_cats"),
        ("a purple heart and a yellow bell", "purple_heart_yellow_bell", "yellow_heart_purple_bell"),
        ("a purple bell and a yellow heart", "yellow_heart_purple_bell", "purple_heart_yellow_bell"),
    ],
)
def test_the_reward_and_the_judge_know_colours_counts_places_and_whose_they_are(name, prompt, right, wrong):
    better, worse = load_verifier(name).score(prompt, pictures(right, wrong))
    assert better > worse


def test_the_judge_says_what_is_wrong():
    """Its answers single out the question that the picture fails."""
    judged = load_verifier("judge")
    for name, failed in (("red_car_left_of_tree", None), ("blue_car_left_of_tree", "is the car red?"),
                         ("red_car_right_of_tree", "is the car left of the tree?")):  # fmt: skip
        [answers] = judged.answers(LEFT, pictures(name))
        assert [text for text, yes in answers if yes < 0.5] == ([failed] if failed else [])


@pytest.mark.parametrize("name", ["image_reward", "judge", "clip_score"])
def test_the_picture_of_the_prompt_beats_another_scene(name):
    better, *worse = load_verifier(name).score("three cats", pictures("three_cats", "red_car_left_of_tree"))
    assert better > max(worse)


def test_the_aesthetic_score_is_blind_to_the_prompt():
    scores = [load_verifier("aesthetic").score(prompt, ALL) for prompt in (LEFT, "four pizzas", "")]
    assert scores[0] == scores[1] == scores[2]
    assert all(0 < value < 11 for value in scores[0])


def test_the_aesthetic_score_prefers_crisp_to_smeared():
    smeared = [Image.fromarray(image).resize((24, 24)).resize((128, 128)) for image in ALL]
    pairs = zip(*(load_verifier("aesthetic").score("", np.stack(images)) for images in (ALL, smeared)), strict=True)
    assert all(crisp > dull for crisp, dull in pairs)


def test_synonyms_are_one_word(verifier):
    """A "crimson automobile" is a "red car" to every verifier."""
    assert verifier.score("1 crimson automobile", ALL) == verifier.score("a red car", ALL)


def test_open_clip_reads_prompts_as_the_verifier_does():
    import open_clip

    tokenizer = open_clip.get_tokenizer(f"local-dir:{weights.FOLDER / 'clip_score'}")
    prompts = [LEFT, "two kittens on a blue background", ""]
    expected = clip_score.ids(prompts, tokenizer.context_length)
    assert torch.equal(tokenizer([" ".join(words(prompt)) for prompt in prompts]), expected)


@pytest.mark.parametrize("module", [image_reward, judge, clip_score, aesthetic])
def test_missing_weights_name_the_command_that_makes_them(module, monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    with pytest.raises(WeightsMissing, match=f"python -m core.training.{module.__name__.rsplit('.', 1)[1]}"):
        module.load()


def test_every_file_of_weights_is_small_enough_to_commit():
    files = [weights.FOLDER / f"{name}.safetensors" for name in ("image_reward", "judge", "aesthetic")]
    files.append(weights.FOLDER / "clip_score" / "open_clip_model.safetensors")
    assert sum(path.stat().st_size for path in files) < 20 * 2**20
