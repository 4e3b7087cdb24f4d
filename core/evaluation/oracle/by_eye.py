"""The oracle against people's eyes: python -m core.evaluation.oracle.by_eye make FOLDER, label, then ... score FOLDER

`make` draws single samples of both generators on development prompts until as many pass as fail, and writes sheets of
pictures with their prompts and labels.jsonl, without what the oracle said. Set every "label" there to true (the
picture shows exactly what the prompt says) or false. `score` adds the agreement, and the sensitivity and specificity
that follow from it, to assets/results/oracle.json.
"""

import argparse
import json
import random
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from core.evaluation.headline.plan import GENERATORS
from core.evaluation.oracle.accept import RESULT
from core.evaluation.oracle.check import check
from core.evaluation.oracle.oracle import Oracle, load_oracle
from core.evaluation.spritebench.rows import FOLDER, Row, read_rows
from core.evaluation.statistics import rate_interval
from core.generators.base import Generator
from core.generators.registry import load_generator
from core.training.sheets import single_samples

COLUMNS, ROWS, SIDE, LINES = 5, 5, 256, 3  # of a sheet; images enlarged to SIDE px; lines of words below each


def collect(generator: Generator, oracle: Oracle, rows: list[Row], each: int) -> tuple[list[dict], float]:
    """As many samples that pass as that fail, one a prompt and round, and the share of all drawn that passed."""
    found: dict[bool, list[dict]] = {True: [], False: []}
    drawn = passed = 0
    for seed in range(1000, 1010):
        for row in rows:
            image = single_samples(generator, row.prompt, 1, seed)[0]
            said = check(oracle.read([image])[0], row.scene).strict
            drawn, passed = drawn + 1, passed + said
            if len(found[said]) < each:
                found[said].append({"prompt": row.prompt, "image": image, "strict": said})
            if min(map(len, found.values())) == each:
                return found[True] + found[False], passed / drawn
    raise SystemExit(f"{generator.name}: {len(found[True])} passes and {len(found[False])} fails in {drawn} samples, "
                     f"{each} of each were wanted: ask for fewer with --each")  # fmt: skip


def make(folder: Path, each: int) -> None:
    rng, oracle, items, rates = random.Random("by eye"), load_oracle(), [], {}
    rows = read_rows(FOLDER / "dev.jsonl")
    for name in GENERATORS:
        found, rates[name] = collect(load_generator(name), oracle, rng.sample(rows, len(rows)), each)
        items += [item | {"generator": name} for item in found]
    rng.shuffle(items)
    folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(items), COLUMNS * ROWS):
        page = items[start : start + COLUMNS * ROWS]
        sheet(page, start).save(folder / f"sheet-{start // (COLUMNS * ROWS):02}.png")
    labels = [{"number": number, "prompt": item["prompt"], "label": None} for number, item in enumerate(items)]
    (folder / "labels.jsonl").write_text("".join(json.dumps(label) + "\n" for label in labels))
    said = {"strict": [item["strict"] for item in items], "generator": [item["generator"] for item in items]}
    (folder / "oracle.json").write_text(json.dumps(said | {"pass_rate": sum(rates.values()) / len(rates)}))


def sheet(items: list[dict], first: int) -> Image.Image:
    """Pictures with their numbers and prompts."""
    height = SIDE + 14 * LINES
    canvas = Image.new("RGB", (COLUMNS * (SIDE + 8), ROWS * (height + 8)), "white")
    draw = ImageDraw.Draw(canvas)
    for place, item in enumerate(items):
        x, y = place % COLUMNS * (SIDE + 8), place // COLUMNS * (height + 8)
        canvas.paste(Image.fromarray(item["image"]).resize((SIDE, SIDE), Image.Resampling.NEAREST), (x, y))
        draw.text((x + 2, y + SIDE + 2), _wrapped(f"{first + place}: {item['prompt']}", SIDE // 6), fill="black")
    return canvas


def _wrapped(text: str, width: int) -> str:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] += f"{word} "
    return "\n".join(lines[:LINES])


def score(labels: list[bool], strict: list[bool], pass_rate: float) -> dict[str, Any]:
    """Agreement on passes and on fails, and what these say of all images, of which `pass_rate` pass."""
    right = {said: [label == said for label, other in zip(labels, strict, strict=True) if other == said]
             for said in (True, False)}  # fmt: skip
    good = {said: sum(hits) / len(hits) for said, hits in right.items()}
    true_passes, false_fails = good[True] * pass_rate, (1 - good[False]) * (1 - pass_rate)
    true_fails, false_passes = good[False] * (1 - pass_rate), (1 - good[True]) * pass_rate
    return {
        "agreement": rate_interval(sum(map(sum, right.values())), len(labels)),
        "passes": rate_interval(sum(right[True]), len(right[True])),
        "fails": rate_interval(sum(right[False]), len(right[False])),
        "sensitivity": round(true_passes / max(1e-9, true_passes + false_fails), 4),
        "specificity": round(true_fails / max(1e-9, true_fails + false_passes), 4),
    }


def read_labels(folder: Path) -> list[bool]:
    labels = [json.loads(line)["label"] for line in (folder / "labels.jsonl").read_text().splitlines()]
    open_ = [number for number, label in enumerate(labels) if not isinstance(label, bool)]
    if open_:
        raise SystemExit(f"{folder / 'labels.jsonl'}: {len(open_)} labels are neither true nor false, first {open_[0]}")
    return labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["make", "score"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--each", type=int, default=50, help="passes, and fails, of each generator")
    args = parser.parse_args()
    if args.what == "make":
        make(args.folder, args.each)
        return
    labels, said = read_labels(args.folder), json.loads((args.folder / "oracle.json").read_text())
    found = score(labels, said["strict"], said["pass_rate"])
    known = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    RESULT.write_text(json.dumps(known | {"by_eye": found}, indent=1) + "\n")
    wrong = [number for number, pair in enumerate(zip(labels, said["strict"], strict=True)) if pair[0] != pair[1]]
    print(json.dumps(found, indent=1))
    print("not agreed on:", *wrong)


if __name__ == "__main__":
    main()
