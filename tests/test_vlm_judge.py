"""`vlm_judge` on a small random LLaVA-OneVision in the hub's layout, and the questions that free text poses."""

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from core.models import llava_onevision as prices
from core.search.errors import BadRequest, WeightsMissing
from core.verifiers import vlm_judge
from core.verifiers.vlm_judge import ROOM, load_from
from core.verifiers.vlm_questions import MAX_ASKED, UNDECIDED, phrases, questions
from tests.test_models import peak_bytes

PROMPT = "a photo of two red cars on a table"
SPECIAL = ["<pad>", "<unk>", "<image>", "<video>", "<|im_start|>", "<|im_end|>"]
WORDS = ("user assistant Yes No yes no Answer or . ? \" does Does this image show " + PROMPT).split()
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }} "
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>{% else %}\n{{ part['text'] }}"
    "{% endif %}{% endfor %}<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def config(layers=2, side=56, width=32, **text):
    from transformers import LlavaOnevisionConfig, Qwen2Config, SiglipVisionConfig

    vision = SiglipVisionConfig(hidden_size=width, intermediate_size=48, num_hidden_layers=layers,
                                num_attention_heads=2, image_size=side, patch_size=14, vision_use_head=False)
    small = {"vocab_size": 64, "hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2,
             "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": True}  # fmt: skip
    return LlavaOnevisionConfig(vision_config=vision, text_config=Qwen2Config(**small | text), image_token_index=2,
                                video_token_index=3, image_grid_pinpoints=[[56, 56], [56, 112]])  # fmt: skip


def save_tokenizer(folder):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *dict.fromkeys(WORDS)])}
    words = Tokenizer(models.WordLevel(vocabulary, "<unk>"))
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    fast = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", pad_token="<pad>",
                                   additional_special_tokens=SPECIAL[2:])  # fmt: skip
    fast.save_pretrained(folder)


def save_package(root):
    """A package as it is downloaded: the keys of the hub's file, which are not the class's."""
    from transformers import LlavaOnevisionForConditionalGeneration

    folder = root / "llava-onevision-0.5b"
    torch.manual_seed(0)
    model = LlavaOnevisionForConditionalGeneration(config())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)  # so that questions and images make a difference
    model.save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    tensors = {key.replace("vision_tower.", "vision_tower.vision_model."): value for key, value in tensors.items()}
    assert "language_model.model.norm.weight" in tensors
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    eyes = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": {"height": 56, "width": 56}}
    (folder / "preprocessor_config.json").write_text(json.dumps(eyes))
    save_tokenizer(folder)
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": TEMPLATE}))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_package(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def judge(folder):
    return load_from(folder, "cpu", torch.float32)


def images(count=3, shape=(70, 90)):
    return np.random.default_rng(0).integers(0, 256, (count, *shape, 3), np.uint8)


# The judge


def test_questions_asked_together_are_answered_as_each_alone_by_the_stock_model(judge):
    """Its own forward pass, one image and one question in the text of its chat template."""
    [image] = images(1)
    answers = judge.answers(PROMPT, image[None])[0]
    assert [question for question, _ in answers] == list(questions(PROMPT)) and len(answers) == 3
    tokens = prices.image_tokens(judge.model.config)
    for question, yes in answers:
        text = f"<|im_start|>user {'<image>' * tokens}\n{question} Answer yes or no.<|im_end|><|im_start|>assistant\n"
        ids = torch.tensor([judge.chat._ids(text)])
        with torch.no_grad():
            logits = judge.model(
                input_ids=ids, pixel_values=judge._pixels(image[None])[:, None], image_sizes=torch.tensor([[56, 56]]),
                batch_num_images=torch.tensor([2]),  # one of several: not in tiles
            ).logits[0, -1]  # fmt: skip
        words = {word: judge.chat._ids(word)[0] for word in ("Yes", "yes", "No", "no")}
        mass = {word: float(logits.softmax(-1)[index]) for word, index in words.items()}
        assert yes == pytest.approx((mass["Yes"] + mass["yes"]) / sum(mass.values()), abs=1e-5)


def test_images_are_prepared_as_the_stock_processor_does(judge):
    from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
        LlavaOnevisionImageProcessorPil,
    )

    stock = LlavaOnevisionImageProcessorPil(size={"height": 56, "width": 56}, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    for shape in ((70, 90), (56, 56), (200, 31)):
        [image] = images(1, shape)
        expected = stock([[image, image]], return_tensors="pt")["pixel_values"][0, 0]
        assert (judge._pixels(image[None])[0] - expected).abs().max() < 1e-5


def test_a_score_does_not_depend_on_the_rest_of_the_batch(judge):
    together = judge.score(PROMPT, images())
    alone = [judge.score(PROMPT, image[None])[0] for image in images()]
    assert together == pytest.approx(alone, abs=1e-4) and len(set(together)) == 3
    assert all(isinstance(score, float) and score < 0 for score in together)


def test_a_question_does_not_hear_the_others(judge):
    """It is answered alike, whatever else the prompt poses before it."""
    table = "Does this image show a table?"
    said = [dict(judge.answers(prompt, images(1))[0]) for prompt in ("two red cars on a table", PROMPT)]
    assert said[0][table] == pytest.approx(said[1][table], abs=1e-6)


def test_the_score_is_the_mean_of_the_answers(judge):
    told, scores = judge.answers(PROMPT, images()), judge.score(PROMPT, images())
    assert scores == pytest.approx([sum(math.log(yes) for _, yes in row) / len(row) for row in told], abs=1e-5)
    assert judge.score(" ?! ", images()) == [UNDECIDED] * 3 and judge.answers("", images()) == [[]] * 3


def test_the_price_is_what_torch_counts_whatever_the_prompt(judge):
    for prompt in ("", "a car", PROMPT, "a red car and " * 300):
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            judge.score(prompt, images(1))
        assert judge.cost.flops_verifier == pytest.approx(counter.get_total_flops(), rel=0.02)


def test_of_a_prompt_that_is_too_long_the_beginning_is_asked_about(judge):
    asked = judge.chat.questions("red car " * 400)
    assert asked[0][0].startswith('Does this image show "red car') and ROOM / 2 < len(asked[0][1]) <= ROOM
    assert sum(len(ids) for _, ids in judge.chat.questions(PROMPT * 40)) <= ROOM


@pytest.mark.parametrize("name, parameters, flops", [("0.5b", 0.89e9, 1.5e12), ("7b", 8.03e9, 14e12)])
def test_the_real_models_have_their_parameters_and_about_the_price_told(name, parameters, flops):
    """The published configurations, without weights."""
    from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration, Qwen2Config

    text = {"0.5b": Qwen2Config(vocab_size=152000, hidden_size=896, intermediate_size=4864, num_hidden_layers=24,
                                num_attention_heads=14, num_key_value_heads=2, tie_word_embeddings=True),
            "7b": Qwen2Config(vocab_size=152128, hidden_size=3584, intermediate_size=18944, num_hidden_layers=28,
                              num_attention_heads=28, num_key_value_heads=4)}[name]  # fmt: skip
    real = LlavaOnevisionConfig(text_config=text)
    with torch.device("meta"):
        model = LlavaOnevisionForConditionalGeneration(real)
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(parameters, rel=0.01)
    tokens = 4 + prices.image_tokens(real) + ROOM
    assert prices.image_flops(real) + prices.text_flops(real, tokens) == pytest.approx(flops, rel=0.05)


@pytest.mark.parametrize("sizes", [{"hidden_size": 192, "intermediate_size": 1024},
                                   {"layers": 26, "side": 112, "width": 128}])  # fmt: skip
def test_the_memory_is_about_what_is_said(judge, sizes):
    """With a language model wide enough, or a tower deep enough, to be the real one's peak."""
    from transformers import LlavaOnevisionForConditionalGeneration

    wide = LlavaOnevisionForConditionalGeneration(config(**sizes)).eval()
    found = vlm_judge.VlmJudge(wide.requires_grad_(False), judge.chat, [0.5] * 3, [0.5] * 3)
    few, many = (peak_bytes(lambda n=n: found.score(PROMPT, images(n))) for n in (4, 8))
    assert 1 / 1.5 < found.image_bytes / ((many - few) / 4) < 1.5


def test_another_checkpoint_is_taken_by_its_name_or_its_folder(folder, judge, monkeypatch, tmp_path):
    monkeypatch.setenv("BEAMSCOPE_MODELS", str(folder.parent))
    monkeypatch.setenv("BEAMSCOPE_DEVICE", "cpu")
    assert vlm_judge.load().score(PROMPT, images()) == judge.score(PROMPT, images())
    monkeypatch.setenv("BEAMSCOPE_MODELS", str(tmp_path))
    with pytest.raises(WeightsMissing, match="python -m core.cli download llava-onevision-0.5b"):
        vlm_judge.load()
    with pytest.raises(WeightsMissing, match="python -m core.cli download llava-onevision-7b"):
        vlm_judge.load_7b()
    monkeypatch.setenv("BEAMSCOPE_VLM", str(folder))
    assert vlm_judge.load().score(PROMPT, images()) == judge.score(PROMPT, images())
    monkeypatch.setenv("BEAMSCOPE_VLM", "llava")
    with pytest.raises(BadRequest, match="unknown package 'llava'"):
        vlm_judge.load()


@pytest.mark.parametrize("change, said", [
    ({"lack": "language_model.model.norm.weight"}, "missing keys model.language_model.norm.weight"),
    ({"add": "language_model.model.norm.scale"}, "unexpected keys"),
    ({"template": "{{ messages }}"}, "chat template"),
    ({"kind": "no_such_model"}, "no_such_model"),
])  # fmt: skip
def test_a_checkpoint_that_does_not_fit_is_named(folder, tmp_path, change, said):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tensors = load_file(folder / "model.safetensors")
    tensors.pop(change.get("lack"), None)
    tensors |= {change["add"]: torch.ones(1)} if "add" in change else {}
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    if "template" in change:
        (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": change["template"]}))
    if "kind" in change:
        (tmp_path / "config.json").write_text(json.dumps({"model_type": change["kind"]}))
    with pytest.raises(WeightsMissing, match=f"(?s){tmp_path}.*{said}"):
        load_from(tmp_path, "cpu", torch.float32)


def test_half_precision_says_about_the_same(folder, judge):
    half = load_from(folder, "cpu", torch.bfloat16)
    assert half.score(PROMPT, images()) == pytest.approx(judge.score(PROMPT, images()), abs=0.02)
    assert half.weights_bytes == pytest.approx(judge.weights_bytes / 2, rel=0.01)


def test_images_of_another_kind_are_refused(judge):
    with pytest.raises(BadRequest, match="uint8"):
        judge.score(PROMPT, images().astype(np.float32))


# The questions


@pytest.mark.parametrize("prompt, found", [
    ("a photo of two red cups on a table", ["two red cups", "a table"]),
    ("A red car to the left of a tree.", ["a red car", "a tree"]),
    ("3 dogs, two cats and a bird", ["3 dogs", "two cats", "a bird"]),
    ("a man riding a horse", ["a man", "a horse"]),
    ("a glass of water", ["a glass of water"]),
    ("a building", ["a building"]),
    ("an awning over the door of a shop", ["an awning", "a shop"]),
    ("a yellow awning over a door", ["a door"]),  # a verb or a noun: not asked about
    ("sunset", []), ("", []),
])  # fmt: skip
def test_what_a_prompt_names(prompt, found):
    assert phrases(prompt) == found


def test_the_first_question_is_about_the_whole_prompt_and_no_other_repeats_it():
    assert questions("a cat") == ('Does this image show "a cat"?',)
    assert questions("The  cat.") == ('Does this image show "The cat."?',)
    assert questions("a cat on a mat and a cat")[1:] == ("Does this image show a cat?", "Does this image show a mat?")
    many = questions(" and ".join(f"a {word}" for word in "abcdefghijklmn"))
    assert len(many) == MAX_ASKED == len(set(many))
    assert questions(" ... ") == ()
