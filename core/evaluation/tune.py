"""Choose how each generator samples: python -m core.evaluation.tune [--screen K] [--by image_reward]

Every generator gets the same number of trials on the same rows of SpriteBench dev: a grid, then a step to either side
of its best guidance. A trial's figure is the strict rate of single samples by the oracle, atoms decide between equals;
by a verifier it is the mean score. With --screen all of the grid is tried on K prompts and the better half on the rest.
Writes all trials to assets/results/tune.json; the winners are written into the generators' `Sampling` by hand, so that
a reader sees them where they act. `frugal` is the cheapest trial that is not resolved to be worse than the best.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from core.evaluation.headline.make import loaded
from core.evaluation.oracle.check import check
from core.evaluation.oracle.oracle import load_oracle
from core.evaluation.parts import Piece, bar, carried_out, part_file, weights_of
from core.evaluation.prompts import by_turns, dev_rows
from core.evaluation.spritebench.rows import Row
from core.evaluation.spritebench.run import row_id
from core.evaluation.statistics import cluster_difference, cluster_interval, in_words
from core.generators import emoji_ar, emoji_flow
from core.generators.base import Generator
from core.generators.registry import GENERATORS, load_generator
from core.search.budget import Cost
from core.search.errors import BadRequest, BeamscopeError
from core.training.sheets import single_samples
from core.verifiers.registry import load_verifier

RESULT = Path(__file__).resolve().parents[2] / "assets" / "results" / "tune.json"
SEED = 1  # of the streams of samples
FLAT, RAMP = (1.0,) * 6, (0.6, 0.7, 0.8, 1.0, 1.2, 1.4)  # guidance by scale
WARM, MILD, COOL = (1.0, 1.0, 0.9, 0.8, 0.7, 0.6), (0.9, 0.9, 0.8, 0.7, 0.5, 0.4), (0.7, 0.7, 0.6, 0.5, 0.4, 0.3)
AR_GRID = [
    emoji_ar.Sampling(cfg=tuple(round(cfg * x, 3) for x in ramp), tau=tau)
    for cfg, ramp, tau in product((1.5, 2.5, 4.0), (FLAT, RAMP), (WARM, MILD, COOL))
]
FLOW_GRID = [
    emoji_flow.Sampling(steps=steps, cfg=cfg, shift=shift)
    for steps, cfg, shift in product((8, 12, 20), (1.5, 2.5, 4.0), (2.0, 4.0))
]
GRIDS = {"emoji-ar": AR_GRID, "emoji-flow": FLOW_GRID}
BESIDE = (0.8, 1.25)  # times the best guidance of the grid
ETAS = (0.1, 0.2, 0.3, 0.45, 0.6, 0.8)  # of the SDE sampler, on the ODE sampler's best
MOST = 20  # trials of a generator
assert all(len(grid) + len(BESIDE) == MOST for grid in GRIDS.values())
Sampling = emoji_ar.Sampling | emoji_flow.Sampling


def with_sampling(generator: Generator, sampling: Sampling) -> Generator:
    """The same model sampled otherwise."""
    if isinstance(sampling, emoji_ar.Sampling):
        return emoji_ar.EmojiAr(generator.model, generator.tokenizer, sampling)
    return emoji_flow.EmojiFlow(generator.name, generator.model, generator.tokenizer, sampling)


@cache
def _sampler(name: str, sampling: Sampling) -> Generator:
    return with_sampling(load_generator(name), sampling)


def tried(name: str, sampling: Sampling, row: Row, samples: int, by: str) -> dict[str, Any]:
    """Figures of single samples of one prompt: `value` of each, and `atoms`. An image that fails counts as wrong."""
    try:
        images = single_samples(_sampler(name, sampling), row.prompt, samples, SEED)
        if by != "oracle":
            return {"value": [float(score) for score in load_verifier(by).score(row.prompt, images)], "error": None}
        verdicts = [check(reading, row.scene) for reading in load_oracle().read(list(images))]
    except Exception as error:
        if by != "oracle":
            raise  # a score has no zero
        return {"value": [0] * samples, "atoms": [0] * samples, "error": f"{type(error).__name__}: {error}"[:300]}
    return {"value": [int(v.strict) for v in verdicts], "atoms": [round(v.mean, 4) for v in verdicts], "error": None}


class Bench:
    """Trials on rows by one yardstick, resumable."""

    def __init__(self, by: str, samples: int, workers: int):
        self.by, self.samples, self.workers = by, samples, workers

    def results(self, name: str, trials: Sequence[Sampling], rows: Sequence[Row]) -> list[list[dict[str, Any]]]:
        """Of each trial, the result of each row."""
        weights = weights_of((name, *([] if self.by == "oracle" else [self.by])))
        parts = [part_file("tune", f"{name}-{self.by}", asdict(trial), self.samples, weights) for trial in trials]
        work = [Piece(part, row_id(row), tried, (name, trial, row, self.samples, self.by), _gflop(name, trial))
                for part, trial in zip(parts, trials, strict=True) for row in rows]  # fmt: skip
        with bar(f"{name}: {len(trials)} trials") as progress:
            found = carried_out(work, self.workers, progress)
        return [found[start : start + len(rows)] for start in range(0, len(found), len(rows))]

    def trials(self, name: str, trials: Sequence[Sampling], rows: Sequence[Row]) -> list[dict[str, Any]]:
        """The trials' figures."""
        return [_figures(name, trial, rows, results)
                for trial, results in zip(trials, self.results(name, trials, rows), strict=True)]  # fmt: skip


def _figures(name: str, trial: Sampling, rows: Sequence[Row], results: Sequence[Mapping]) -> dict[str, Any]:
    found = {"sampling": asdict(trial), "prompts": len(rows), "gflop": round(_gflop(name, trial), 3),
             "failed": sum(result["error"] is not None for result in results)}  # fmt: skip
    for metric in ("value", "atoms"):
        if metric in results[0]:
            found[metric] = cluster_interval(_by_tag(rows, [result[metric] for result in results]))
    return found | {"_values": _by_tag(rows, [result["value"] for result in results])}


def _by_tag(rows: Sequence[Row], values: Sequence[Sequence[float]]) -> dict[str, np.ndarray]:
    """tag -> [prompts, samples]"""
    tags = np.array([row.tag for row in rows])
    return {tag: np.asarray(values, float)[tags == tag] for tag in sorted(set(tags))}


def _gflop(name: str, sampling: Sampling) -> float:
    """Of one sample, decoded."""
    generator = _sampler(name, sampling)
    steps = (generator.step_cost(step) for step in range(generator.num_steps))
    return sum(steps, Cost() + generator.start_cost + generator.decode_cost).flops / 1e9


def _merit(trial: Mapping[str, Any]) -> tuple[float, float]:
    return trial["value"]["mean"], trial.get("atoms", {"mean": 0.0})["mean"]


def tune(name: str, grid: Sequence[Sampling], rows: Sequence[Row], screen: int | None, bench: Bench) -> dict[str, Any]:
    """All trials of a generator, best first, those that were only screened last; the best, and the frugal one."""
    kind, screened = type(grid[0]), []
    if screen is not None and screen < len(rows):
        ranked = sorted(bench.trials(name, grid, by_turns(rows, screen)), key=_merit, reverse=True)
        half = (len(ranked) + 1) // 2
        screened, grid = ranked[half:], [kind(**trial["sampling"]) for trial in map(_as_given, ranked[:half])]
    trials = bench.trials(name, grid, rows)
    best = kind(**_as_given(max(trials, key=_merit))["sampling"])
    trials += bench.trials(name, [_guided(best, times) for times in BESIDE], rows)
    return _chosen(trials, screened)


def _guided(sampling: Sampling, times: float) -> Sampling:
    if isinstance(sampling, emoji_ar.Sampling):
        return replace(sampling, cfg=tuple(round(x * times, 3) for x in sampling.cfg))
    return replace(sampling, cfg=round(sampling.cfg * times, 3))


def _as_given(trial: Mapping[str, Any]) -> dict[str, Any]:
    """With the sampling's lists as the tuples that they were."""
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in trial["sampling"].items()}
    return dict(trial) | {"sampling": values}


def _chosen(trials: list[dict], screened: Sequence[dict] = ()) -> dict[str, Any]:
    trials = sorted(trials, key=_merit, reverse=True)
    values = [trial.pop("_values") for trial in trials]
    for trial in screened:
        trial.pop("_values")
    for trial, of in zip(trials, values, strict=True):
        trial["behind"] = {side: cluster_difference(values[0], of)[side] for side in ("mean", "low", "high")}
    near = [trial for trial in trials if trial["behind"]["low"] <= 0]
    frugal = min(near, key=lambda trial: (trial["gflop"], -trial["value"]["mean"]))
    return {"best": trials[0]["sampling"], "frugal": frugal["sampling"], "trials": [*trials, *screened]}


def tune_sde(flow: Mapping[str, Any], rows: Sequence[Row], bench: Bench) -> dict[str, Any]:
    """How much fresh noise: trials of its own, on what was best without."""
    best = emoji_flow.Sampling(**flow["best"])
    return _chosen(bench.trials("emoji-flow-sde", [replace(best, eta=eta) for eta in ETAS], rows))


def lines(found: Mapping[str, Any]) -> list[str]:
    """The trials for people."""
    told = [f"by {found['by']}, {found['prompts']} prompts x {found['samples']} samples"]
    for name, of in found["generators"].items():
        told += [name, *(f"  {in_words(trial['value'])}  {trial['gflop']:6.2f} GFLOP  {trial['prompts']} prompts  "
                         f"{trial['sampling']}" for trial in of["trials"])]  # fmt: skip
        told += [f"  best    {of['best']}", f"  frugal  {of['frugal']}"]
    return told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=300, help="of SpriteBench dev, tags taking turns (%(default)s)")
    parser.add_argument("--samples", type=int, default=1, help="of each prompt (%(default)s)")
    parser.add_argument("--screen", type=int, metavar="K", help="first on K prompts, then the better half on all")
    parser.add_argument("--by", default="oracle", help="the yardstick: oracle, or a verifier (%(default)s)")
    parser.add_argument("--sde", action="store_true", help="also the share of fresh noise of emoji-flow-sde")
    parser.add_argument("--workers", type=int, default=4, help="processes of one thread each (%(default)s)")
    args = parser.parse_args()
    try:
        found = tuned(args)
    except BeamscopeError as error:
        hint = "; --by image_reward needs no oracle" if args.by == "oracle" else ""
        print(f"error: {error}{hint}", file=sys.stderr)
        return 2
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(found, indent=1) + "\n")
    print("\n".join(lines(found)))
    return 0


def tuned(args: argparse.Namespace) -> dict[str, Any]:
    """All of it. Raises WeightsMissing without the yardstick, BadRequest without a generator."""
    load_oracle() if args.by == "oracle" else load_verifier(args.by)
    rows, bench = dev_rows(args.prompts), Bench(args.by, args.samples, args.workers)
    generators, missing = loaded(tuple(GRIDS), GENERATORS, load_generator)
    if not generators:
        raise BadRequest(f"there is nothing to tune: {'; '.join(missing)}")
    found = {name: tune(name, GRIDS[name], rows, args.screen, bench) for name in generators}
    if args.sde and "emoji-flow" in found:
        found["emoji-flow-sde"] = tune_sde(found["emoji-flow"], rows, bench)
    about = {"by": args.by, "prompts": args.prompts, "samples": args.samples, "screen": args.screen, "missing": missing}
    return about | {"generators": found}


if __name__ == "__main__":
    sys.exit(main())
