"""Beam search against best-of-n and against diffusion at equal total FLOPs: python -m core.evaluation.equal_compute

For every development prompt and every size the beam runs first; its rivals get the FLOPs it spent (generator, decoder
and verifier), and as many images as fit. Scores are the guide's; the observers' are written beside them, since a
search also finds its guide's mistakes. Writes assets/results/equal_compute.json and .md.
"""

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from core.compare import rival
from core.evaluation.prompts import dev_prompts
from core.evaluation.statistics import in_words, mean_interval, paired_difference
from core.request import prepare
from core.search.events import RunSpec
from core.search.search import Search

RESULTS = Path("assets/results")
VERIFIERS = ("image_reward", "clip_score", "aesthetic")
BEAMS = ((1, 3, "preview"), (3, 5, "preview"), (2, 4, "rollout"))  # width, branch, look
COSTS = ("gflop", "nfe", "images", "seconds")


def run(spec: RunSpec) -> dict:
    """One search to its end, in numbers."""
    prepared = prepare(spec)
    search = Search(prepared.generator, prepared.verifiers, prepared.spec, display=False)
    end = list(search.run())[-1]
    tree = search.tree
    return {
        "scores": end.scores, "gflop": tree.spent.flops / 1e9, "nfe": tree.spent.nfe, "seconds": tree.seconds,
        "images": sum(node.has_final for node in tree.nodes.values()), "params": dict(prepared.spec.params),
    }  # fmt: skip


def lanes(prompt: str, seed: int, guide: str) -> dict[str, dict[str, dict]]:
    """On one prompt: a single sample, and every beam with its rivals."""
    observers = tuple(name for name in VERIFIERS if name != guide)
    single = RunSpec(prompt, "emoji-ar", "random_search", {"n": 1}, guide, observers, seed)
    found = {"no search": {"single sample, emoji-ar": run(single)}}
    for width, branch, look in BEAMS:
        params = {"width": width, "branch": branch, "look": look}
        beam = RunSpec(prompt, "emoji-ar", "beam_search", params, guide, observers, seed)
        first = run(beam)
        flops = first["gflop"] * 1e9
        found[f"width {width}, branch {branch}, {look}"] = {
            "beam search, emoji-ar": first,
            "best of n, emoji-ar": run(rival(beam, flops, "emoji-ar")),
            "best of n, emoji-flow": run(rival(beam, flops, "emoji-flow")),
        }
    return found


def summarise(rows: list[dict], guide: str) -> dict:
    """Per size and lane: mean scores with intervals, costs, and the beam's paired difference to the lane."""
    return {
        size: {name: _lane(rows, size, name, guide) for name in rows[0]["lanes"][size]} for size in rows[0]["lanes"]
    }


def _lane(rows: list[dict], size: str, name: str, guide: str) -> dict:
    column = [row["lanes"][size][name] for row in rows]
    facts = {v: mean_interval([lane["scores"][v] for lane in column]) for v in VERIFIERS}
    facts |= {key: round(sum(lane[key] for lane in column) / len(rows), 2) for key in COSTS}
    if name.startswith("best"):
        beam = [row["lanes"][size]["beam search, emoji-ar"]["scores"][guide] for row in rows]
        facts["beam minus this"] = paired_difference(beam, [lane["scores"][guide] for lane in column])
    return facts


def markdown(table: dict, guide: str, count: int) -> str:
    lines = [
        f"# Equal compute: {count} development prompts, guide `{guide}`", "",
        "Made by `python -m core.evaluation.equal_compute`. Means over prompts with 95% bootstrap intervals; "
        "GFLOP count generator, decoder and guide. Faithful clean renders score about 1 by `image_reward`.",
    ]  # fmt: skip
    for size, names in table.items():
        columns = ("", *VERIFIERS, f"beam minus this ({guide})", "GFLOP", "NFE", "images")
        lines += ["", f"## {size}", "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        lines += [_row(name, facts) for name, facts in names.items()]
    return "\n".join(lines) + "\n"


def _row(name: str, facts: dict) -> str:
    scores = " | ".join(in_words(facts[v]) for v in VERIFIERS)
    difference = in_words(facts["beam minus this"]) if "beam minus this" in facts else "–"
    return f"| {name} | {scores} | {difference} | {facts['gflop']:.1f} | {facts['nfe']:.0f} | {facts['images']:.1f} |"


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)  # workers share the cores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=50)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--guide", default="image_reward", choices=VERIFIERS)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    prompts, rows = dev_prompts(args.prompts), []
    with ProcessPoolExecutor(args.workers, get_context("spawn"), initializer=_one_thread) as pool:
        found = pool.map(partial(lanes, seed=args.seed, guide=args.guide), prompts)
        for prompt, results in zip(prompts, found, strict=True):
            rows.append({"prompt": prompt, "lanes": results})
            print(f"{len(rows)}/{args.prompts} {prompt}", file=sys.stderr)
    table = summarise(rows, args.guide)
    RESULTS.mkdir(parents=True, exist_ok=True)
    facts = {"guide": args.guide, "seed": args.seed, "summary": table, "rows": rows}
    (RESULTS / "equal_compute.json").write_text(json.dumps(facts, indent=1) + "\n")
    (RESULTS / "equal_compute.md").write_text(markdown(table, args.guide, len(rows)))
    print(markdown(table, args.guide, len(rows)))


if __name__ == "__main__":
    main()
