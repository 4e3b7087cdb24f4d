"""From the raw scores that a verifier gave in its trials to figures with 95% intervals, beside their bars.

Two scores that are equal are half a hit each, so that what cannot tell gets one half. Bars are those that were set
before any verifier was trained; a verifier that has none (a negative control, an ensemble) is measured all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from core.evaluation.statistics import (
    Interval,
    auc,
    auc_interval,
    calibration_error,
    in_words,
    mean_interval,
    rate_difference,
    rate_interval,
)
from core.evaluation.verifier_trials import (
    ADVERSARIES,
    BLIND,
    COLUMNS,
    KINDS,
    LEFT_OUT,
    RELATIVES,
    STAND_INS,
    Answers,
    right_of,
)
from core.search.guide import Guide, Marks

RETRIEVAL, ECE, ORACLE, GAP = "retrieval", "calibration", "generated", f"{LEFT_OUT}: below its trained relatives by"
HARD = ("swap attribute", "swap relation", "count +-1")
EASY = tuple(kind for kind in KINDS if kind.startswith("replace"))

BELOW = 0.95  # of the prompts; asked of adversarial images as such is "below the median candidate"


def _bars(easy: float, hard: Sequence[float], gap: float, oracle: float, ece: float) -> dict[str, float]:
    return (dict.fromkeys(EASY, easy) | dict(zip(HARD, hard, strict=True)) | dict.fromkeys(BLIND, 0.53)
            | dict.fromkeys(ADVERSARIES, BELOW) | {GAP: gap, ORACLE: oracle, ECE: ece})  # fmt: skip


BARS = {
    "clip_score": _bars(0.97, (0.90, 0.85, 0.85), 0.07, 0.70, 0.05) | {RETRIEVAL: 0.85},
    "image_reward": _bars(0.97, (0.93, 0.90, 0.88), 0.07, 0.80, 0.05),
    "judge": _bars(0.97, (0.95, 0.93, 0.92), 0.05, 0.85, 0.05),
    "held_out_b": _bars(0.98, (0.95, 0.93, 0.92), 0.05, 0.85, 0.03),
}
AT_MOST = {*BLIND, GAP, ECE}  # the others are at least


@dataclass(frozen=True)
class Row:
    """One line of a verifier's table: a figure for each column where it was measured, and a bar or none."""

    test: str
    bar: float | None
    figures: tuple[Interval | None, ...]  # as in HEADINGS
    key: str = ""  # of the bar

    def met(self, figure: Interval) -> bool:
        return figure["mean"] <= self.bar if self.key in AT_MOST else figure["mean"] >= self.bar

    def to_json(self) -> dict[str, Any]:
        found = {"test": self.test, "figures": dict(zip(HEADINGS, self.figures, strict=True))}
        if self.bar is None:
            return found
        bar = f"{'<=' if self.key in AT_MOST else '>='} {self.bar:.2f}"
        return found | {"bar": bar, "met": self.figures[0] and self.met(self.figures[0])}


HEADINGS = (*COLUMNS, "AUC between prompts, fresh scenes")


def rows(
    name: str, answers: Answers, strict: Mapping[str, np.ndarray], hits: np.ndarray | None = None, warm: bool = False
) -> list[Row]:
    """The table of the verifier `name`.

    strict: by generator the oracle's outcomes of the images in the trial ("generated", generator).
    hits: of retrieval, where it was tried.
    warm: training began with weights that may know the type that was left out, so no bar is met by telling it apart.
    """
    bars, found = {key: bar for key, bar in BARS.get(name, {}).items() if not (warm and key == GAP)}, []

    def add(test: str, *figures: Interval | None, key: str = "") -> None:
        key = key or test
        found.append(Row(test, bars.get(key), (*figures, None, None)[: len(HEADINGS)], key))

    if hits is not None:
        add("R@1 among 256 scenes, ties as positives", rate(hits), key=RETRIEVAL)
    for kind in KINDS:
        columns = [rate(wins(answers[column, kind])) for column in COLUMNS]
        good, bad = answers["fresh scenes", kind].T
        add(f"2-way, {kind}", *columns, auc_interval(good, bad), key=kind)
    add(GAP, *(_gap(answers, column) for column in COLUMNS))
    for test in BLIND:
        add(test, rate(np.concatenate([wins(answers[test, kind]) for kind in KINDS])))
        figure, kind = max(((rate(wins(answers[test, kind])), kind) for kind in KINDS), key=_off)
        add(f"{test}: {kind}, the farthest from .5", figure)
    add("ECE after temperature scaling", calibrated(answers)["ece"], key=ECE)
    for adversary, figure in below_median(answers).items():
        add(f"below the median candidate: {adversary}", figure, key=adversary)
    for generator, outcomes in strict.items():
        aucs = within(answers[ORACLE, generator], outcomes)
        add(f"AUC within prompts against the oracle, {generator}", mean_interval(aucs) if aucs else None, key=ORACLE)
    return found


def details(answers: Answers, strict: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """What the table leaves out: blind checks by kind, the calibration's constants, where candidates come from."""
    scaled = calibrated(answers)
    return {
        "blind": {test: {kind: rate(wins(answers[test, kind])) for kind in KINDS} for test in BLIND},
        "AUC, held-out scenes": {kind: auc_interval(*answers["held-out scenes", kind].T) for kind in KINDS},
        "calibration": {"slope": scaled["slope"], "offset": scaled["offset"]},
        "adversarial candidates": _source(answers),
        "prompts with a pass and a fail": {g: len(within(answers[ORACLE, g], found)) for g, found in strict.items()},
    }


def _off(found: tuple[Interval, str]) -> float:
    """How far a kind is from chance: one that is above may hide another below."""
    return abs(found[0]["mean"] - 0.5)


def wins(pairs: np.ndarray) -> np.ndarray:
    """1 where the first of two scores is the higher, one half where they tie; pairs [N, 2]."""
    return (pairs[:, 0] > pairs[:, 1]) + 0.5 * (pairs[:, 0] == pairs[:, 1])


def rate(hits: np.ndarray) -> Interval:
    return rate_interval(float(hits.sum()), len(hits))


def _gap(answers: Answers, column: str) -> Interval:
    """How much better the trained relatives are told apart than the type that was left out."""
    known = np.concatenate([wins(answers[column, kind]) for kind in RELATIVES])
    return rate_difference(rate(known), rate(wins(answers[column, LEFT_OUT])))


# Calibration


def calibrated(answers: Answers) -> dict[str, Any]:
    """Scores to chances that all is right, scaled on one half of the scenes and tested on the other."""
    (fit,), (test,) = answers["calibration", "fit"].T, answers["calibration", "test"].T
    slope, offset = temperature(fit, right_of(len(fit)))
    chances = 1 / (1 + np.exp(-np.clip(slope * test + offset, -60, 60)))
    ece = calibration_error(chances, right_of(len(test)))
    return {"slope": slope, "offset": offset, "ece": ece}


def temperature(scores: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """Slope (one over the temperature) and offset of the best logistic from scores to outcomes.

    The slope is kept from growing without end where outcomes can be told without fail.
    """
    mean, spread = float(scores.mean()), float(scores.std()) or 1.0
    x, y = torch.from_numpy((scores - mean) / spread), torch.from_numpy(right)
    weights = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = F.binary_cross_entropy_with_logits(weights[0] * x + weights[1], y) + 1e-6 * weights.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    slope, offset = weights.tolist()
    return slope / spread, offset - slope * mean / spread


# Adversarial images


def _source(answers: Answers) -> str:
    """Samples of generators where there are some."""
    return min((of for test, of in answers if test == "adversarial"), key=lambda source: source == STAND_INS)


def below_median(answers: Answers) -> dict[str, Interval]:
    """For each adversary the share of prompts on which it scores below the median candidate; a tie counts half."""
    scores = answers["adversarial", _source(answers)]
    median = np.median(scores[:, len(ADVERSARIES) :], 1)
    return {name: rate(wins(np.stack([median, scores[:, i]], 1))) for i, name in enumerate(ADVERSARIES)}


# Against the oracle


def within(scores: np.ndarray, strict: np.ndarray) -> list[float]:
    """AUC of every prompt that has a pass and a fail; scores and outcomes [prompts, images]."""
    both = [(row, passed) for row, passed in zip(scores, strict.astype(bool), strict=True) if 0 < passed.mean() < 1]
    return [auc(row[passed], row[~passed]) for row, passed in both]


# Ensembles


def ensemble(guide: Guide, members: Mapping[str, Answers]) -> Answers:
    """What an ensemble answers, from its members' answers.

    A search sets every image against a batch of its prompt. Two images are no such batch: each member could only vote.
    So here each member's scores are divided by their spread within prompts, measured once on other prompts with eight
    candidates each, and averaged: standard scores within a set, by a spread that does not depend on the set. Where
    there is a real batch, among a generator's samples of one prompt, the guide's own rule is used.
    """
    parts = {name: members[name] for name in guide.members}
    spread = {name: _spread(answers["candidates", "reference"]) for name, answers in parts.items()}
    found = {}
    for key in set.intersection(*(set(answers) for answers in parts.values())):
        if key[0] == ORACLE:
            found[key] = _marked(guide, {name: answers[key] for name, answers in parts.items()})
        else:
            found[key] = np.mean([answers[key] / spread[name] for name, answers in parts.items()], 0)
    return found


def _spread(scores: np.ndarray) -> float:
    """Mean standard deviation of scores [prompts, images] within prompts."""
    return fmean(pstdev(row) for row in scores.tolist()) or 1.0


def _marked(guide: Guide, scores: Mapping[str, np.ndarray]) -> np.ndarray:
    """The guide's marks of every prompt's images, [prompts, images]."""
    rows = [[dict(zip(scores, image, strict=True)) for image in zip(*row, strict=True)]
            for row in zip(*(part.tolist() for part in scores.values()), strict=True)]  # fmt: skip
    return np.asarray([Marks(guide).of(0, row) for row in rows])


# Markdown


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """The rows of one verifier as they are in verifiers.json."""
    lines = [f"| test | bar | {' | '.join(HEADINGS)} |", "|---" * (2 + len(HEADINGS)) + "|"]
    return "\n".join([*lines, *map(_line, found)])


def _line(row: Mapping[str, Any]) -> str:
    said = [_said(figure) for figure in row["figures"].values()]
    if row.get("met") is not None:
        said[0] += " met" if row["met"] else " **MISSED**"
    return f"| {row['test']} | {row.get('bar', '–')} | {' | '.join(said)} |"


def _said(figure: Interval | None) -> str:
    return "" if figure is None else in_words(figure)
