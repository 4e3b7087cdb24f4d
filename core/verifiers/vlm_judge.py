"""The verifier `vlm_judge`: a vision-language model answers the prompt's questions; the score is their mean
log-probability of yes, 0 at best, for images of one prompt.

LLaVA-OneVision (Li et al. 2024, Apache-2.0) with a Qwen2 of 0.5 B parameters: 1.8 GB in 16 bits, twice that and
120 MB an image in float32; 1.4 TFLOP an image, 24 s on one busy CPU core. `load_7b` takes that of 7 B: 16 GB,
14 TFLOP. BEAMSCOPE_VLM names another package, or a folder with any chat model of transformers that reads images: see
core/verifiers/vlm_any.py for those of another architecture. The questions are those of core/verifiers/vlm_questions.py.

An image is read whole, as the model reads one of several: 384 px, no tiles of higher resolution. All questions are
asked in one forward pass: each sees the image and itself, at the positions that it would have alone. They share ROOM
tokens, filled up where they are fewer, so that every prompt costs the same.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core.models import llava_onevision as prices
from core.models.memory import weights_bytes
from core.search.budget import Cost
from core.verifiers.base import Verifier
from core.verifiers.clip_pixels import padded, rgb
from core.verifiers.pretrained import images_a_call, load_pretrained, load_tokenizer, wrong
from core.verifiers.vlm_questions import ASK, UNDECIDED, about, first_tokens, questions

PACKAGE, LARGE, CHOICE = "llava-onevision-0.5b", "llava-onevision-7b", "BEAMSCOPE_VLM"
ROOM = 256  # tokens of all questions together
MARK = "QUESTION"  # where the question stands in the template


class Chat:
    """The model's tokens around an image and a question: `head`, image tokens, then a row of `ask` for each question.

    `yes` and `no` are the ids that an answer may begin with.
    """

    def __init__(self, tokenizer: Any, template: str, image_token: str):
        self._tokenizer = tokenizer
        said = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": MARK}]}]
        text = tokenizer.apply_chat_template(
            said, chat_template=template, tokenize=False, add_generation_prompt=True
        )
        head, _, rest = text.partition(image_token)
        self._before, _, self._after = rest.partition(MARK)
        self.head = self._ids(head)
        self.yes, self.no = first_tokens(tokenizer)
        if image_token not in text or MARK not in rest:
            raise ValueError("its chat template has no place for an image and a question behind it")

    def ask(self, question: str) -> list[int]:
        return self._ids(self._before + question + ASK + self._after)

    def questions(self, prompt: str) -> list[tuple[str, list[int]]]:
        """Those of the prompt that fit in ROOM, with their tokens; of a long prompt the first asks about less."""
        asked, room, texts = [], ROOM, list(questions(prompt))
        if texts:
            texts[0] = self._cut(prompt)
        for question in texts:
            ids = self.ask(question)
            if len(ids) <= room:
                asked.append((question, ids))
                room -= len(ids)
        return asked

    def _cut(self, prompt: str) -> str:
        """The question about the whole prompt, or about as many of its words as fit."""
        words = prompt.split()
        while len(words) > 1 and (length := len(self.ask(about(" ".join(words))))) > ROOM:
            words = words[: max(1, len(words) * ROOM // (length + 1))]
        return about(" ".join(words))

    def _ids(self, text: str) -> list[int]:
        return self._tokenizer(text, add_special_tokens=False)["input_ids"]


class VlmJudge:
    """See core/verifiers/base.py."""

    def __init__(self, model: Any, chat: Chat, mean: list[float], std: list[float], name: str = "vlm_judge"):
        self.name, self.model, self.chat = name, model, chat
        self._mean, self._std = (torch.tensor(values)[:, None, None] for values in (mean, std))
        config = model.config
        self._tokens = len(chat.head) + prices.image_tokens(config) + ROOM
        flops = prices.image_flops(config) + prices.text_flops(config, self._tokens)
        self.cost = Cost(flops_verifier=flops, verifier_calls=1)
        self.max_batch = images_a_call(model, 4)
        self.weights_bytes = weights_bytes(model)
        self.image_bytes = prices.image_numbers(config, self._tokens) * model.dtype.itemsize

    def score(self, prompt: str, images: np.ndarray) -> list[float]:
        """One number up to 0 for each image, uint8 [B, H, W, 3] of any size; UNDECIDED where nothing is asked."""
        logits = self._logits(prompt, images)  # priced and checked even if nothing is asked
        return F.logsigmoid(logits).mean(1).tolist() if logits.shape[1] else [UNDECIDED] * len(logits)

    def answers(self, prompt: str, images: np.ndarray) -> list[list[tuple[str, float]]]:
        """For each image the questions of the prompt, as they read, and the probability of yes."""
        texts = [question for question, _ in self.chat.questions(prompt)]
        return [list(zip(texts, row, strict=True)) for row in self._logits(prompt, images).sigmoid().tolist()]

    @torch.inference_mode()
    def _logits(self, prompt: str, images: np.ndarray) -> Tensor:
        """[B, P], of yes against no."""
        seen = self._see(self._pixels(images))  # [B, N, D]
        asked = [ids for _, ids in self.chat.questions(prompt)]
        ids, places, mask = self._lay_out(asked)
        embed = self.model.get_input_embeddings()
        head, tail = (embed(row).expand(len(seen), -1, -1) for row in ids)
        said = self.model.model.language_model(
            inputs_embeds=torch.cat([head, seen, tail], 1),  # [B, T, D]
            position_ids=places.expand(len(seen), -1), attention_mask=mask, use_cache=False,
        ).last_hidden_state  # fmt: skip
        ends = torch.tensor([len(row) for row in asked], dtype=torch.long, device=said.device).cumsum(0) - 1
        last = said[:, len(self.chat.head) + seen.shape[1] + ends].float()  # [B, P, D], the last of each question
        yes, no = (self._word(last, words) for words in (self.chat.yes, self.chat.no))
        return yes - no

    def _word(self, last: Tensor, words: list[int]) -> Tensor:
        """The logit that an answer begins with any of these."""
        rows = self.model.get_output_embeddings().weight[words].float()  # [W, D]
        return (last @ rows.T).logsumexp(-1)

    def _lay_out(self, asked: list[list[int]]) -> tuple[tuple[Tensor, Tensor], Tensor, Tensor]:
        """Ids before and after the image, positions [1, T], and who sees whom [1, 1, T, T].

        Of the tail a token sees what comes before the questions, and its own question up to itself.
        """
        device = self.model.device
        rows = [*asked, [0] * (ROOM - sum(map(len, asked)))]
        start = self._tokens - ROOM
        block = [-1] * start + [number for number, row in enumerate(rows) for _ in row]
        places = [*range(start), *(start + place for row in rows for place in range(len(row)))]
        block, places = torch.tensor(block, device=device), torch.tensor(places, device=device)
        own = (block[:, None] == block) | (block == -1)
        mask = own & torch.ones_like(own).tril()
        ids = (self.chat.head, [token for row in rows for token in row])
        return tuple(torch.tensor(row, device=device) for row in ids), places[None], mask[None, None]

    def _see(self, pixels: Tensor) -> Tensor:
        """[B, 3, side, side] -> what the language model reads of each image, [B, N, D]."""
        inner, config = self.model.model, self.model.config
        layers = inner.vision_tower(pixels, output_hidden_states=True).hidden_states
        seen = inner.multi_modal_projector(layers[config.vision_feature_layer])
        return torch.cat([seen, inner.image_newline.expand(len(seen), 1, -1)], 1)

    def _pixels(self, images: np.ndarray) -> Tensor:
        """All of each image, in a square of the mean colour."""
        side, colour = self.model.config.vision_config.image_size, (self._mean.flatten() * 255).byte().numpy()
        squares = np.stack([np.asarray(padded(image, side, colour)) for image in rgb(images)])
        pixels = torch.from_numpy(squares).permute(0, 3, 1, 2).float() / 255
        return ((pixels - self._mean) / self._std).to(self.model.device, self.model.dtype)


def load_from(folder: Path, device: str, dtype: torch.dtype, name: str = "vlm_judge") -> Verifier:
    """The judge from a folder in transformers' layout. Raises WeightsMissing."""
    try:
        kind = json.loads((folder / "config.json").read_text())["model_type"]
    except (OSError, ValueError, KeyError) as error:
        raise wrong(folder, f"config.json: {error}") from error
    if kind == "llava_onevision":
        return _load_llava(folder, device, dtype, name)
    from core.verifiers import vlm_any

    return vlm_any.load_from(folder, device, dtype, name)


def _load_llava(folder: Path, device: str, dtype: torch.dtype, name: str) -> VlmJudge:
    from transformers import LlavaOnevisionForConditionalGeneration

    try:
        eyes = json.loads((folder / "preprocessor_config.json").read_text())
        mean, std = eyes["image_mean"], eyes["image_std"]
    except (OSError, ValueError, KeyError) as error:
        raise wrong(folder, f"preprocessor_config.json: {error}") from error
    tokenizer = load_tokenizer(folder)
    model = load_pretrained(LlavaOnevisionForConditionalGeneration, folder, device, dtype)
    try:
        image_token = tokenizer.convert_ids_to_tokens(model.config.image_token_id)
        chat = Chat(tokenizer, _template(folder, tokenizer), image_token)
    except Exception as error:  # templates are programs
        raise wrong(folder, str(error)) from error
    return VlmJudge(model, chat, mean, std, name)


def _template(folder: Path, tokenizer: Any) -> str:
    """The chat template, wherever this checkpoint keeps it."""
    if (folder / "chat_template.jinja").is_file():
        return (folder / "chat_template.jinja").read_text()
    if (folder / "chat_template.json").is_file():
        return json.loads((folder / "chat_template.json").read_text())["chat_template"]
    return tokenizer.get_chat_template()


def load() -> Verifier:
    """What BEAMSCOPE_VLM names, else LLaVA-OneVision 0.5B. Raises WeightsMissing, BadRequest for an unknown name."""
    return _load(os.environ.get(CHOICE) or PACKAGE, "vlm_judge")


def load_7b() -> Verifier:
    return _load(LARGE, "vlm_judge-7b")


def _load(choice: str, name: str) -> Verifier:
    from core.packages.catalogue import located
    from core.place import place

    here = place()
    folder = Path(choice) if Path(choice).is_dir() else located(choice)
    return load_from(folder, here.device, getattr(torch, here.dtype), name)
