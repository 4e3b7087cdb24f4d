"""`vlm_judge` with any other chat model of transformers that reads images, taken as it is: its own processor, its own
forward pass, and one question about the whole prompt (VQAScore, Lin et al. 2024).

Nothing is shared between questions here, so there is only one. Its price depends on the architecture and is counted
once, when it is loaded, on a prompt of some twenty words; other prompts cost as much as they are longer or shorter.
"""

from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from core.models.memory import weights_bytes
from core.search.budget import Cost
from core.verifiers.clip_pixels import padded, rgb
from core.verifiers.pretrained import images_a_call, load_pretrained, wrong
from core.verifiers.vlm_questions import ASK, UNDECIDED, about, first_tokens, questions

SIDE, GREY = 448, 127  # px of every image, and what pads it to a square
NOMINAL = "a photo of a red car to the left of two green trees, with a small white dog in front of a house"


class AnyVlmJudge:
    """See core/verifiers/base.py."""

    def __init__(self, model: Any, processor: Any, name: str = "vlm_judge"):
        self.name, self.model, self.processor = name, model, processor
        self.yes, self.no = first_tokens(processor.tokenizer)
        self._options = {"logits_to_keep": 1} if "logits_to_keep" in signature(model.forward).parameters else {}
        self.max_batch = images_a_call(model, 4)
        self.weights_bytes = weights_bytes(model)
        image = np.full((1, SIDE, SIDE, 3), GREY, np.uint8)
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            self._logits(NOMINAL, image)
        self.cost = Cost(flops_verifier=counter.get_total_flops(), verifier_calls=1)
        text, tokens = model.config.get_text_config(), self._inputs(NOMINAL, image)["input_ids"].shape[1]
        self.image_bytes = tokens * (5 * text.hidden_size + 3 * text.intermediate_size) * model.dtype.itemsize  # about

    def score(self, prompt: str, images: np.ndarray) -> list[float]:
        """The log-probability of yes for each image, uint8 [B, H, W, 3] of any size; UNDECIDED without words."""
        logits = self._logits(prompt, images)
        return F.logsigmoid(logits).tolist() if questions(prompt) else [UNDECIDED] * len(logits)

    def answers(self, prompt: str, images: np.ndarray) -> list[list[tuple[str, float]]]:
        """For each image the question, and the probability of yes."""
        asked = questions(prompt)[:1]
        return [[(question, yes) for question in asked] for yes in self._logits(prompt, images).sigmoid().tolist()]

    @torch.inference_mode()
    def _logits(self, prompt: str, images: np.ndarray) -> Tensor:
        """[B], of yes against no."""
        inputs = self._inputs(prompt, images).to(self.model.device, self.model.dtype)
        last = self.model(**inputs, **self._options).logits[:, -1].float()  # [B, V]
        yes, no = (last[:, words].logsumexp(-1) for words in (self.yes, self.no))
        return yes - no

    def _inputs(self, prompt: str, images: np.ndarray) -> Any:
        """All rows are of one length: one prompt, images of one size."""
        question = {"type": "text", "text": about(" ".join(prompt.split())) + ASK}
        squares = [padded(image, SIDE, GREY) for image in rgb(images)]
        chats = [[{"role": "user", "content": [{"type": "image", "image": one}, question]}] for one in squares]
        return self.processor.apply_chat_template(
            chats, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )


def load_from(folder: Path, device: str, dtype: torch.dtype, name: str = "vlm_judge") -> AnyVlmJudge:
    """The judge from a folder in transformers' layout. Raises WeightsMissing."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = load_pretrained(AutoModelForImageTextToText, folder, device, dtype)
    try:
        return AnyVlmJudge(model, AutoProcessor.from_pretrained(folder, local_files_only=True), name)
    except Exception as error:  # a processor that is not there, or a model that is no chat model
        raise wrong(folder, str(error).strip().partition("\n")[0]) from error
