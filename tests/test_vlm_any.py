"""`vlm_judge` with a chat model of another architecture: a small random Qwen2-VL in transformers' layout."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from core.search.errors import BadRequest, WeightsMissing
from core.verifiers import vlm_any, vlm_judge
from core.verifiers.vlm_any import AnyVlmJudge
from core.verifiers.vlm_questions import UNDECIDED
from tests.test_models import peak_bytes

PROMPT = "a photo of two red cars on a table"
SPECIAL = ["<pad>", "<unk>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>", "<|im_start|>",
           "<|im_end|>"]  # fmt: skip
WORDS = ("user assistant Yes No yes no Answer or . ? \" Does this image show " + PROMPT).split()
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def processor():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen2VLProcessor
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *dict.fromkeys(WORDS)])}
    words = Tokenizer(models.WordLevel(vocabulary, "<unk>"))
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    fast = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", pad_token="<pad>",
                                   additional_special_tokens=SPECIAL[2:])  # fmt: skip
    eyes = Qwen2VLImageProcessor(min_pixels=28**2, max_pixels=56**2)
    return Qwen2VLProcessor(image_processor=eyes, tokenizer=fast, video_processor=Qwen2VLVideoProcessor(),
                            chat_template=TEMPLATE)  # fmt: skip


def model(hidden=48, intermediate=96):
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    text = {"vocab_size": 64, "hidden_size": hidden, "intermediate_size": intermediate, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "bos_token_id": 0, "eos_token_id": 7,
            "rope_parameters": {"rope_type": "default", "mrope_section": [hidden // 24] * 3, "rope_theta": 1e4}}
    vision = {"depth": 2, "embed_dim": 32, "hidden_size": hidden, "num_heads": 2, "mlp_ratio": 2}
    torch.manual_seed(0)
    return Qwen2VLForConditionalGeneration(Qwen2VLConfig(
        text_config=text, vision_config=vision, image_token_id=4, video_token_id=5, vision_start_token_id=2,
        vision_end_token_id=3)).eval().requires_grad_(False)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("qwen")
    small = model()
    for parameter in small.parameters():
        parameter.mul_(2)
    small.save_pretrained(folder)
    processor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def judge(folder):
    return vlm_judge.load_from(folder, "cpu", torch.float32)


def images(count=3, shape=(70, 90)):
    return np.random.default_rng(0).integers(0, 256, (count, *shape, 3), np.uint8)


def test_it_is_asked_once_about_all_of_the_prompt_in_its_own_words(judge):
    """By its own processor, in two steps: text, then tokens and pixels."""
    square = Image.fromarray(np.pad(images(1)[0], ((10, 10), (0, 0), (0, 0)), constant_values=127))
    text = ("<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>Does this image show "
            f'"{PROMPT}"? Answer yes or no.<|im_end|>\n<|im_start|>assistant\n')  # fmt: skip
    square = square.resize((448, 448), Image.Resampling.BICUBIC)
    inputs = judge.processor(images=[square], text=[text], return_tensors="pt")
    with torch.no_grad():
        said = judge.model(**inputs).logits[0, -1].softmax(-1)
    ids = judge.processor.tokenizer.get_vocab()
    mass = {word: float(said[ids[word]]) for word in ("Yes", "yes", "No", "no")}
    [[(question, yes)]] = judge.answers(PROMPT, images(1))
    assert question == f'Does this image show "{PROMPT}"?'
    assert yes == pytest.approx((mass["Yes"] + mass["yes"]) / sum(mass.values()), abs=1e-5)
    assert judge.score(PROMPT, images(1)) == pytest.approx([math.log(yes)], abs=1e-6)


def test_a_score_does_not_depend_on_the_rest_of_the_batch(judge):
    together = judge.score(PROMPT, images())
    alone = [judge.score(PROMPT, image[None])[0] for image in images()]
    assert together == pytest.approx(alone, abs=1e-5) and len(set(together)) == 3
    assert judge.score("", images(2)) == [UNDECIDED] * 2 and judge.answers(" . ", images(2)) == [[], []]


def test_the_price_is_that_of_a_prompt_of_some_twenty_words(judge):
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        judge.score(" ".join(["car"] * 24), images(1))
    assert judge.cost.flops_verifier == pytest.approx(counter.get_total_flops(), rel=0.02)


def test_the_memory_is_about_what_is_said():
    wide = AnyVlmJudge(model(192, 1024), processor())
    few, many = (peak_bytes(lambda n=n: wide._logits(vlm_any.NOMINAL, images(n))) for n in (4, 8))
    assert 1 / 2 < wide.image_bytes / ((many - few) / 4) < 2


def test_a_folder_that_is_no_chat_model_is_named(folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "chat_template.jinja").unlink()
    with pytest.raises(WeightsMissing, match=f"{tmp_path}.*template"):
        vlm_judge.load_from(tmp_path, "cpu", torch.float32)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(WeightsMissing, match=f"{tmp_path}"):
        vlm_judge.load_from(tmp_path, "cpu", torch.float32)


def test_images_of_another_kind_are_refused(judge):
    with pytest.raises(BadRequest, match="uint8"):
        judge.score(PROMPT, images().astype(np.float32))
