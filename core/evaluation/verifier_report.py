"""Validate the committed verifiers: python -m core.evaluation.verifier_report

Which of two images shows the prompt, by kind of difference, also on scenes that hold what no training shows; blind
checks; calibration; adversarial images; cost; and against the oracle on samples of generators, which --candidates
draws (an audit: nothing is trained on it). Writes assets/results/verifiers.json and .md, each figure beside its bar,
and the tables in the verifiers' cards. What is not measured this time stays as long as its weights do.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from core.evaluation.candidates import candidates, outcomes
from core.evaluation.engine import THREADS, machine, threads
from core.evaluation.headline.plan import GENERATORS
from core.evaluation.spritebench.rows import Row
from core.evaluation.verifier_figures import details, ensemble, rows, table
from core.evaluation.verifier_trials import Answers, Trial, adversarial, blank, images_of, retrieval_scenes, trials
from core.models import weights
from core.search.errors import BeamscopeError
from core.search.guide import Guide
from core.verifiers.registry import VERIFIERS, load_verifier
from core.world.captions import full_prompt
from core.world.corruptions import LEFT_OUT
from core.world.scene import total

RESULTS = Path(__file__).resolve().parents[2] / "assets" / "results"
HELD_OUT = "held_out_b"  # no search can choose it, so no registry knows it
BUILT_ON = {"aesthetic": ("clip_score",)}  # whose weights decide its scores too
ENSEMBLES = (
    "rank:image_reward+clip_score", "rank:image_reward+clip_score+aesthetic", "rank:image_reward+judge+clip_score",
)  # fmt: skip
BATCHES, REPEATS = (1, 2, 4, 8, 16, 32), 5
SUMMED = ("ms, batch 1", "ms, best batch", "GFLOP", "weights, MB")  # in the cost of an ensemble
PROMPT = "a red car to the left of two striped hats"  # what the cost is measured on
CHANCE = "random weights"  # as cards say it
BEGIN, END = "<!-- validation: begin -->", "<!-- validation: end -->"
MIXED = f"samples of {' and '.join(GENERATORS)}"
ASKING = (
    "It answers questions one by one, and other questions teach it to miss a noun: a missing object is new to it as a "
    "picture of its prompt, not as an answer."
)
REMARKS = {
    "aesthetic": "Blind to the prompt by construction: the negative control, without bars. About .5 is what it should "
    "have wherever the prompt decides.",
    "judge": ASKING,
    HELD_OUT: f"Held out: no search can choose it. {ASKING}",
}
WARM = (
    f"Training began with earlier {{}}, whose own training may have shown the type that is left out here ({LEFT_OUT}): "
    "being told apart, it is no proof of more than was taught, and has no bar."
)
OF_ENSEMBLES = (
    "Bars were set for single verifiers. Where two images are compared, the mean of the members' scores in units of "
    "their spread within prompts; among a generator's samples of one prompt, the rule that a search uses."
)


@dataclass
class Asked:
    """What one run has asked of its verifiers."""

    answers: dict[str, Answers] = field(default_factory=dict)
    hits: dict[str, np.ndarray] = field(default_factory=dict)  # of retrieval
    strict: dict[str, np.ndarray] = field(default_factory=dict)  # by generator, what the oracle says of its samples
    missing: str | None = None  # why there are no samples, or nothing that the oracle says


def ask(verifiers: Mapping[str, Any], questions: Iterable[Trial], found: Asked) -> None:
    """Add every verifier's answers in every trial."""
    for trial in questions:
        print(f"\r{', '.join(trial.name):<78.78}", end="", file=sys.stderr, flush=True)
        for name, verifier in verifiers.items():
            found.answers.setdefault(name, {})[trial.name] = trial.answers(verifier.score)
    print(file=sys.stderr)


def measure(verifiers: Mapping[str, Any], count: int, draw: bool = False, file: Path | None = None) -> Asked:
    """Ask everything. Samples that are missing are drawn if `draw`."""
    found = Asked()
    ask(verifiers, trials(count), found)
    if clip := verifiers.get("clip_score"):
        found.hits["clip_score"] = retrieval(clip)
    try:
        prompts, images = candidates(draw, file)
    except (BeamscopeError, FileNotFoundError, RuntimeError) as error:  # also weights of another shape
        found.missing = _in_one_line(error)
        return found
    ask(verifiers, sampled(prompts, images), found)
    try:
        found.strict = {name: outcomes(prompts, some) for name, some in images.items()}
    except (BeamscopeError, RuntimeError) as error:
        found.missing = _in_one_line(error)
    return found


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def sampled(prompts: Sequence[Row], images: Mapping[str, np.ndarray]) -> list[Trial]:
    """The trials on samples: by generator, and adversarial images beside all samples of prompts of several things."""
    found = [
        Trial(("generated", name), [(row.prompt, some) for row, some in zip(prompts, these, strict=True)],
              these.shape[1])
        for name, these in images.items()
    ]  # fmt: skip
    beside = np.concatenate(list(images.values()), 1)
    several = [(row.prompt, some) for row, some in zip(prompts, beside, strict=True) if total(row.scene) > 1]
    return [*found, adversarial(Trial(("candidates", MIXED), several, beside.shape[1]), MIXED)]


@torch.no_grad()  # no inference_mode: sprites that are made in it could not be drawn with afterwards
def retrieval(verifier: Any, sets: int = 4, size: int = 256) -> np.ndarray:
    """For every prompt whether the nearest image of its set is one that shows it. For the small CLIP only: images
    and prompts are embedded once."""
    from core.training.clip_score import entails, table
    from core.verifiers.clip_score import ids

    clip, hits = verifier.clip, []
    for number in range(sets):
        scenes = retrieval_scenes(number, size)
        prompts = [full_prompt(scene) for scene in scenes]
        said = clip.encode_text(ids(prompts, clip.context_length), normalize=True)
        parts = torch.from_numpy(images_of(scenes)).split(verifier.max_batch)
        seen = torch.cat([clip.encode_image(weights.from_images(part.numpy()), normalize=True) for part in parts])
        hits.append(table(entails, prompts, scenes).gather(1, (said @ seen.T).argmax(1, keepdim=True))[:, 0])
    return torch.cat(hits).numpy()


# Cost


def cost(verifier: Any) -> dict[str, Any]:
    """Milliseconds an image, one at a time and in the best batch, on THREADS threads; GFLOP; MB of weights."""
    images = np.stack([blank()] * max(BATCHES))
    with threads(THREADS):
        spent = {size: _milliseconds(verifier, images[:size]) / size for size in BATCHES}
    best = min(spent, key=spent.get)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        verifier.score(PROMPT, images[:1])
    size = getattr(verifier, "weights_bytes", None)
    return {
        "ms, batch 1": round(spent[1], 2), "ms, best batch": round(spent[best], 2), "best batch": best,
        "GFLOP": round(counter.get_total_flops() / 1e9, 4), "weights, MB": size and round(size / 1e6, 2),
        "machine": machine(),
    }  # fmt: skip


def _milliseconds(verifier: Any, images: np.ndarray) -> float:
    """The median of a few calls after one to warm up."""
    times = []
    for _ in range(REPEATS + 1):
        began = perf_counter()
        verifier.score(PROMPT, images)
        times.append(perf_counter() - began)
    return 1000 * median(times[1:])


def together(costs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The cost of an ensemble: its members', one after another."""
    found = {key: round(sum(one[key] for one in costs), 4) for key in SUMMED}
    return {**costs[0], **found, "best batch": ", ".join(str(one["best batch"]) for one in costs)}


def costs(names: Sequence[str], verifiers: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The cost of every name that these verifiers suffice for."""
    alone = {name: cost(verifier) for name, verifier in verifiers.items()}
    members = {name: Guide.parse(name).members for name in names}
    return {name: together([alone[one] for one in parts]) if len(parts) > 1 else alone[name]
            for name, parts in members.items() if set(parts) <= set(alone)}  # fmt: skip


# The result


def loaded(names: Iterable[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The verifiers that load, and of the others why they do not."""
    found, failed = {}, {}
    for name in dict.fromkeys(member for each in names for member in Guide.parse(each).members):
        try:
            found[name] = _held_out().load_b() if name == HELD_OUT else load_verifier(name)
        except (BeamscopeError, RuntimeError, ImportError, AttributeError, KeyError, TypeError) as error:
            failed[name] = _in_one_line(error)
    return found, failed


def _held_out() -> Any:
    return import_module(f"core.evaluation.{HELD_OUT}")


def entries(names: Sequence[str], asked: Asked, verifiers: Mapping[str, Any], count: int) -> dict[str, dict[str, Any]]:
    """What verifiers.json holds of every name, ensembles from their members' answers."""
    found = {}
    for name, spent in costs(names, verifiers).items():
        guide = Guide.parse(name)
        answers = asked.answers[name] if guide.rule == "single" else ensemble(guide, asked.answers)
        start = started_from(name)
        figures = rows(name, answers, asked.strict, asked.hits.get(name), warm=bool(start))
        found[name] = {
            "weights": weights_of(name), "pairs of every kind": count, "rows": [row.to_json() for row in figures],
            "details": details(answers, asked.strict), "not measured": asked.missing, "cost": spent,
            "started from": start,
        }  # fmt: skip
    return found


def started_from(name: str) -> str | None:
    """What the training of a verifier, or of an ensemble's first such member, began with if not with chance."""
    cards = (card_of(member).with_suffix(".json") for member in Guide.parse(name).members)
    starts = (json.loads(card.read_text()).get("started_from", CHANCE) for card in cards if card.exists())
    return next((start for start in starts if start != CHANCE), None)


def weights_of(name: str) -> dict[str, str | None]:
    """The sha256 of the weights that decide the scores of a verifier or an ensemble."""
    needed = [other for member in Guide.parse(name).members for other in (member, *BUILT_ON.get(member, ()))]
    cards = {other: card_of(other).with_suffix(".json") for other in needed}
    return {other: json.loads(card.read_text())["sha256"] for other, card in cards.items() if card.exists()}


def card_of(name: str) -> Path:
    return (getattr(_held_out(), "FOLDER", weights.FOLDER) if name == HELD_OUT else weights.FOLDER) / f"{name}.md"


def kept(path: Path) -> dict[str, dict[str, Any]]:
    """The entries of an earlier run whose weights are still the same."""
    old = json.loads(path.read_text())["verifiers"] if path.exists() else {}
    return {name: entry for name, entry in old.items() if entry["weights"] and entry["weights"] == weights_of(name)}


def write(found: Mapping[str, dict[str, Any]], failed: Mapping[str, str], folder: Path = RESULTS) -> str:
    """Write the result files and the cards. Returns the Markdown."""
    old = {name: entry for name, entry in kept(folder / "verifiers.json").items()
           if not set(Guide.parse(name).members) & set(failed)}  # fmt: skip
    every = _in_order(old | found)
    text = markdown(every, failed)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "verifiers.json").write_text(json.dumps({"verifiers": every, "not loaded": failed}, indent=1) + "\n")
    (folder / "verifiers.md").write_text(text)
    for name, entry in found.items():
        if ":" not in name and card_of(name).exists():
            into_card(card_of(name), section(name, entry))
    return text


def _in_order(every: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """As the registry has them, then the held-out one, then ensembles."""
    order = [*VERIFIERS, HELD_OUT]
    return dict(sorted(every.items(), key=lambda item: (order.index(item[0]) if item[0] in order else 99, item[0])))


def markdown(every: Mapping[str, dict[str, Any]], failed: Mapping[str, str]) -> str:
    lines = ["# Verifiers: validation", "", __doc__.partition("\n\n")[2].strip().replace("\n", " "), ""]
    lines += ["| verifier | bars met | missed |", "|---|---|---|", *(_summary(*item) for item in every.items())]
    lines += ["", *(f"Not measured: `{name}`: {why}" for name, why in failed.items())]
    return "\n".join([*lines, *(f"\n## {name}\n\n{section(name, entry)}" for name, entry in every.items())]) + "\n"


def _summary(name: str, entry: Mapping[str, Any]) -> str:
    judged = [row for row in entry["rows"] if row.get("met") is not None]
    missed = [row["test"] for row in judged if not row["met"]]
    return f"| `{name}` | {len(judged) - len(missed)} of {len(judged)} | {', '.join(missed) or '–'} |"


def section(name: str, entry: Mapping[str, Any]) -> str:
    """One verifier's table, cost and remarks, as in verifiers.md and in its card."""
    spent, said = entry["cost"], entry["details"]
    remark = OF_ENSEMBLES if ":" in name else REMARKS.get(name)
    lines = [
        f"Made by `python -m core.evaluation.verifier_report` on {entry['pairs of every kind']} pairs of every kind, "
        "with 95% intervals; chance is .5. Fresh scenes come from seeds that no trainer uses; held-out scenes hold a "
        "colour, a count or a relation of a class that no training shows. Adversarial images are set against "
        f"{said['adversarial candidates']}.",
        *([remark] if remark else []),
        *([WARM.format(entry["started from"])] if entry["started from"] else []),
        table(entry["rows"]),
        f"Cost of an image: {spent['ms, batch 1']} ms one at a time, {spent['ms, best batch']} ms in batches of "
        f"{spent['best batch']} ({THREADS} threads, {spent['machine']['cpu']}, load {spent['machine']['load']} of "
        f"{spent['machine']['cores']} cores while measured), {spent['GFLOP']} GFLOP; "
        f"{spent['weights, MB']} MB of weights in memory.",
        *([f"Against the oracle on samples of generators: not measured. {entry['not measured']}"]
          if entry["not measured"] else []),
    ]  # fmt: skip
    return "\n\n".join(lines)


def into_card(card: Path, text: str) -> None:
    """Put the section between the markers, in the place of an earlier one or at the end."""
    block, old = f"{BEGIN}\n## Validation\n\n{text}\n{END}", card.read_text()
    if BEGIN in old:
        new = re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: block, old, flags=re.DOTALL)
    else:
        new = f"{old.rstrip()}\n\n{block}\n"
    card.write_text(new)


def everything(b: bool) -> list[str]:
    """The committed verifiers, the held-out one if wanted, and the ensembles that can be made of them."""
    cards = [name for name in VERIFIERS if (weights.FOLDER / f"{name}.json").exists()]
    able = [name for name in ENSEMBLES if set(Guide.parse(name).members) <= set(cards)]
    return [*cards, *([HELD_OUT] if b else []), *able]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verifiers", nargs="+", help="by default all committed ones and their ensembles")
    parser.add_argument("--b", action="store_true", help="the held-out verifier too")
    parser.add_argument("--count", type=int, default=400, help="pairs of every kind")
    parser.add_argument("--candidates", nargs="?", const="", metavar="FILE",
                        help="draw the samples that are missing; kept in FILE, by default in the cache")  # fmt: skip
    parser.add_argument("--cost", action="store_true", help="measure the cost alone anew, on a machine that is quiet")
    args = parser.parse_args()
    names = [*args.verifiers, *([HELD_OUT] if args.b else [])] if args.verifiers else everything(args.b)
    verifiers, failed = loaded(names)
    if not verifiers:
        sys.exit("\n".join(f"{name}: {why}" for name, why in failed.items()) or "no verifier has weights yet")
    draw, file = args.candidates is not None, Path(args.candidates) if args.candidates else None
    if args.cost:
        known, spent = kept(RESULTS / "verifiers.json"), costs(names, verifiers)
        found = {name: known[name] | {"cost": spent[name]} for name in spent if name in known}
    else:
        found = entries(names, measure(verifiers, args.count, draw, file), verifiers, args.count)
    print(write(found, failed))


if __name__ == "__main__":
    main()
