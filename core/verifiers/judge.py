"""The verifier `judge`: answers the prompt's questions one by one, and is the better the more of them are yes.

Scores compare images of one prompt: the mean log-probability of yes, 0 at best, in which a no counts as LEAST at
least: else one answer that is very sure would weigh more than all others, and a blank image could win. Several times
slower than image_reward. The questions are those of core/world/questions.py.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core.models.judge import Judge, JudgeConfig, encode
from core.models.memory import weights_bytes
from core.models.weights import load_config, load_weights, weights_file
from core.search.budget import Cost
from core.verifiers.pixels import pixels
from core.world.questions import MAX_ASKED, questions

FLOPS = 1_546_236_928  # of one image, by torch.utils.flop_counter
LEAST = 0.05  # probability of yes that every answer counts as at least
UNDECIDED = math.log(0.5)  # the score where the prompt names nothing that could be asked about


class JudgeScore:
    """See core/verifiers/base.py."""

    name = "judge"
    cost = Cost(flops_verifier=FLOPS, verifier_calls=1)
    max_batch = 8  # about 10 ms an image on two idle cores
    image_bytes = 3_600_000  # measured

    def __init__(self, judge: Judge):
        self.judge = judge
        self.weights_bytes = weights_bytes(judge)

    def score(self, prompt: str, images: np.ndarray) -> list[float]:
        """One number up to 0 for each image, uint8 [B, 128, 128, 3]; UNDECIDED if the prompt poses no question."""
        logits = self._logits(prompt, images)  # priced and checked even if nothing is asked
        asked = len(questions(prompt))
        return log_yes(logits[:, :asked]).mean(1).tolist() if asked else [UNDECIDED] * len(logits)

    def answers(self, prompt: str, images: np.ndarray) -> list[list[tuple[str, float]]]:
        """For each image the questions of the prompt, as they read, and the probability of yes."""
        said = self._logits(prompt, images).sigmoid().tolist()
        texts = [question.text for question in questions(prompt)]
        return [list(zip(texts, row, strict=False)) for row in said]

    @torch.inference_mode()
    def _logits(self, prompt: str, images: np.ndarray) -> Tensor:
        """[B, MAX_ASKED]: padded with empty questions, so that every prompt costs the same."""
        asked = encode(questions(prompt))
        asked = F.pad(asked, (0, 0, 0, MAX_ASKED - len(asked)))
        batch = pixels(images)
        return self.judge(batch, asked.expand(len(batch), -1, -1))[0]


def log_yes(logits: Tensor) -> Tensor:
    """What an answer adds to the score."""
    return F.logsigmoid(logits).clamp(min=math.log(LEAST))


def load() -> JudgeScore:
    """The committed weights. Raises WeightsMissing."""
    path = weights_file("judge")
    config = load_config(path)
    judge = Judge(JudgeConfig(**config | {"widths": tuple(config["widths"])}))
    return JudgeScore(load_weights(judge, path).to(memory_format=torch.channels_last))
