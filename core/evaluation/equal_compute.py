"""Beam search against best-of-n and against diffusion at equal total FLOPs: python -m core.evaluation.equal_compute

For every development prompt the beam runs first; every rival gets the FLOPs the beam spent (generator, decoder and
verifier), and as many images as fit. Scores are the guide's; the observers' are written beside them, since a search
also finds its guide's mistakes. Writes assets/results/equal_compute.json and .md.
"""

import argparse
import json
import sys
from pathlib import Path

from core.compare import rival
from core.evaluation.prompts import dev_prompts
from core.evaluation.statistics import in_words, mean_interval, paired_difference
from core.request import prepare
from core.search.events import RunSpec
from core.search.search import Search

RESULTS = Path("assets/results")
VERIFIERS = ("image_reward", "clip_score", "aesthetic")


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


def lanes(prompt: str, seed: int, guide: str) -> dict[str, dict]:
    """The beam and its rivals on one prompt."""
    observers = tuple(name for name in VERIFIERS if name != guide)
    beam = RunSpec(prompt, "emoji-ar", "beam_search", {}, guide, observers, seed)
    found = {"beam (preview)": run(beam)}
    flops = found["beam (preview)"]["gflop"] * 1e9
    found["best of n, emoji-ar"] = run(rival(beam, flops, "emoji-ar"))
    found["best of n, emoji-flow"] = run(rival(beam, flops, "emoji-flow"))
    single = RunSpec(prompt, "emoji-ar", "random_search", {"n": 1}, guide, observers, seed)
    return found | {"single sample, emoji-ar": run(single)}


def summarise(rows: list[dict], guide: str) -> dict:
    """Mean of every lane with intervals, and the beam's paired difference to it."""
    names = list(rows[0]["lanes"])
    column = {name: [row["lanes"][name] for row in rows] for name in names}
    table = {}
    for name in names:
        scores = {v: [lane["scores"][v] for lane in column[name]] for v in VERIFIERS}
        beam = [lane["scores"][guide] for lane in column[names[0]]]
        table[name] = {v: mean_interval(values) for v, values in scores.items()} | {
            "beam minus this": paired_difference(beam, scores[guide]),
            **{key: round(sum(lane[key] for lane in column[name]) / len(rows), 2) for key in
               ("gflop", "nfe", "images", "seconds")},
        }  # fmt: skip
    return table


def markdown(table: dict, guide: str, count: int) -> str:
    lines = [
        f"# Equal compute: {count} development prompts, guide `{guide}`", "",
        "Made by `python -m core.evaluation.equal_compute`. Means over prompts with 95% bootstrap intervals; "
        "GFLOP count generator, decoder and guide.", "",
        f"| | {' | '.join(VERIFIERS)} | beam minus this ({guide}) | GFLOP | NFE | images | s |", "|---|" + "---|" * 8,
    ]  # fmt: skip
    for name, row in table.items():
        scores = " | ".join(in_words(row[v]) for v in VERIFIERS)
        difference = in_words(row["beam minus this"]) if "beam" not in name else "–"
        costs = f"{row['gflop']:.1f} | {row['nfe']:.0f} | {row['images']:.1f} | {row['seconds']:.1f}"
        lines.append(f"| {name} | {scores} | {difference} | {costs} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=50)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--guide", default="image_reward", choices=VERIFIERS)
    args = parser.parse_args()
    rows = []
    for prompt in dev_prompts(args.prompts):
        rows.append({"prompt": prompt, "lanes": lanes(prompt, args.seed, args.guide)})
        print(f"{len(rows)}/{args.prompts} {prompt}", file=sys.stderr)
    table = summarise(rows, args.guide)
    RESULTS.mkdir(parents=True, exist_ok=True)
    facts = {"guide": args.guide, "seed": args.seed, "summary": table, "rows": rows}
    (RESULTS / "equal_compute.json").write_text(json.dumps(facts, indent=1) + "\n")
    (RESULTS / "equal_compute.md").write_text(markdown(table, args.guide, len(rows)))
    print(markdown(table, args.guide, len(rows)))


if __name__ == "__main__":
    main()
