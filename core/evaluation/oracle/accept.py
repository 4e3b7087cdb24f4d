"""May the oracle be believed? python -m core.evaluation.oracle.accept

Exact scenes on fresh renders, clean and degraded in every way, and false passes on near misses: images of a scene
with one thing wrong, held against the scene without. Writes assets/results/oracle.json; SpriteBench corrects its
strict rate by the sensitivity and specificity found here.
"""

import argparse
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from core.evaluation.oracle.check import Reading, check
from core.evaluation.oracle.degrade import KINDS, sample
from core.evaluation.oracle.oracle import Oracle, load_oracle
from core.evaluation.oracle.train import images_of
from core.evaluation.statistics import rate_interval
from core.models.weights import to_images
from core.world.corruptions import CORRUPTIONS
from core.world.scene import Scene, sample_scene

RESULT = Path(__file__).resolve().parents[3] / "assets" / "results" / "oracle.json"
BARS = {"clean": 0.99, "degraded": 0.96, "false_pass": 0.02}


def passes(oracle: Oracle, shown: Sequence[Scene], asked: Sequence[Scene], kind: str, seed: str) -> list[bool]:
    """Whether the oracle passes images of the scenes `shown`, made worse as `kind` says, as the scenes `asked`."""
    rng, noise, found = random.Random(seed), torch.Generator().manual_seed(len(seed)), []
    for start in range(0, len(shown), 32):
        part = slice(start, start + 32)
        how = [sample(rng, kind) for _ in shown[part]]
        read = oracle.read(list(to_images(images_of(list(shown[part]), how, noise))))
        found += [check(*pair).strict for pair in zip(read, asked[part], strict=True)]
    return found


def near_miss(rng: random.Random, corrupted: Callable) -> tuple[Scene, Scene]:
    """(asked, shown): a scene, and another that fails it by this corruption."""
    while True:
        asked = sample_scene(rng, allow_held_out=True)
        shown = corrupted(rng, asked)
        if shown is not None and not check(Reading.of(shown), asked).strict:
            return asked, shown


def accept(oracle: Oracle, count: int) -> dict:
    """The figures of the acceptance, each with its interval."""
    rng = random.Random("acceptance of the oracle")
    scenes = [sample_scene(rng, allow_held_out=True) for _ in range(count)]
    exact = {kind: passes(oracle, scenes, scenes, kind, kind) for kind in KINDS}
    degraded = [right for kind in KINDS[1:] for right in exact[kind]]
    missed = {}
    for name, corrupted in CORRUPTIONS.items():
        pairs = [near_miss(rng, corrupted) for _ in range(max(32, count // len(CORRUPTIONS)))]
        asked, shown = zip(*pairs, strict=True)
        missed[name] = [said for kind in ("clean", "coded") for said in passes(oracle, shown, asked, kind, name)]
    false_passes = [said for part in missed.values() for said in part]
    found = {
        "clean": _rate(exact["clean"]), "degraded": _rate(degraded), "false_pass": _rate(false_passes),
        "sensitivity": _rate(degraded)["mean"], "specificity": 1 - _rate(false_passes)["mean"],
        "exact": {kind: _rate(rights) for kind, rights in exact.items()},
        "false_passes": {name: _rate(part) for name, part in missed.items()},
    }  # fmt: skip
    found["met"] = {
        name: found[name]["mean"] <= bar if name == "false_pass" else found[name]["mean"] >= bar
        for name, bar in BARS.items()
    }
    return found


def _rate(hits: Sequence[bool]) -> dict[str, float]:
    return rate_interval(sum(hits), len(hits))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="scenes of each kind")
    found = accept(load_oracle(), parser.parse_args().count)
    RESULT.parent.mkdir(parents=True, exist_ok=True)  # labels by eye were of other weights
    RESULT.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
