"""A sheet to look at: python -m core.evaluation.contact_sheet [--prompts 64]

Prompts of SpriteBench dev, of all tags alike. Of each: a single sample, best of n, beam search and the best of the
diffusion model, the last three at the same total GFLOP: n is 8, or as many as pay for the smallest beam. A tick or a
cross below says what the oracle found. Writes assets/pictures/contact_sheet.jpg.
"""

from __future__ import annotations

import argparse
import sys
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from core.evaluation.headline.plan import BEAM_PREVIEW, BEAM_ROLLOUT, GENERATORS, PROMPT, sized
from core.evaluation.headline.runs import searched
from core.evaluation.oracle.check import check
from core.evaluation.oracle.oracle import load_oracle
from core.evaluation.parts import Piece, bar, carried_out, part_file, weights_of
from core.evaluation.prompts import dev_rows
from core.evaluation.spritebench.rows import Row
from core.evaluation.spritebench.run import row_id
from core.generators.registry import load_generator
from core.search.budget import GIGA, Budget
from core.search.errors import BadRequest, BeamscopeError, WeightsMissing
from core.search.events import RunSpec
from core.search.sizing import estimate, fit
from core.verifiers.registry import load_verifier

PICTURE = Path(__file__).resolve().parents[2] / "assets" / "pictures" / "contact_sheet.jpg"
LOOKS = {"preview": BEAM_PREVIEW, "rollout": BEAM_ROLLOUT}
SIDE, GAP, MARK, WORDS, TOP, BLOCKS = 128, 4, 14, 20, 96, 3  # px; blocks of rows beside one another
MOST_BYTES = 1_500_000
RIGHT, WRONG, GREY = "#1a7f37", "#c62828", "#666666"


@dataclass(frozen=True)
class Column:
    title: str
    spec: RunSpec  # all but prompt and seed
    gflop: float


def columns(verifier: str, look: str, least: int = 8) -> list[Column]:
    """The four searches. Raises BadRequest if no beam fits what 64 samples cost."""
    generators, (ar, diffusion) = {name: load_generator(name) for name in GENERATORS}, GENERATORS
    judges, line = {verifier: load_verifier(verifier)}, LOOKS[look]

    def cost(spec: RunSpec) -> float:
        return estimate(spec, generators[spec.generator], judges, display=False).flops

    single, beam = RunSpec(PROMPT, ar, "random_search", {"n": 1}, verifier), None
    for n in range(least, 65):
        many = replace(single, params={"n": n})
        budget = Budget(flops=cost(many))
        try:
            open_ = replace(many, strategy=line.strategy, params={}).with_budget(budget)
            beam = sized(open_, line, generators[ar], judges)
            rival = replace(many, generator=diffusion, params={}).with_budget(budget)
            flow = fit(rival, generators[diffusion], judges)
            break
        except BadRequest:
            if n == 64:
                raise
    titles = ["single sample", f"best of {n}", f"beam {beam.params['width']} x {beam.params['branch']}, {look}",
              f"diffusion, best of {flow.params['n']}"]  # fmt: skip
    return [
        Column(title, spec, cost(spec) / GIGA) for title, spec in zip(titles, (single, many, beam, flow), strict=True)
    ]


def drawn(specs: Sequence[RunSpec], row: Row) -> dict[str, Any]:
    """The images that the searches return, as PNG in base64, and whether the oracle passes them: None without one.

    A search that fails returns black, which is not what anybody asked for.
    """
    images = [_returned(replace(spec, prompt=row.prompt)) for spec in specs]
    try:
        passed = [check(reading, row.scene).strict for reading in load_oracle().read(images)]
    except WeightsMissing:
        passed = [None] * len(images)
    return {"images": [_packed(image) for image in images], "strict": passed}


def _returned(spec: RunSpec) -> np.ndarray:
    try:
        search, found = searched(spec, load_verifier(spec.verifier))
        return found[search.tree.end.node]
    except Exception as error:
        print(f"{spec.strategy} of {spec.prompt!r} failed: {error}", file=sys.stderr)
        return np.zeros((SIDE, SIDE, 3), np.uint8)


def _packed(image: np.ndarray) -> str:
    file = BytesIO()
    Image.fromarray(image).save(file, "png")
    return b64encode(file.getvalue()).decode()


def _unpacked(text: str) -> Image.Image:
    return Image.open(BytesIO(b64decode(text)))


def sheet(
    rows: Sequence[Row], found: Sequence[Mapping[str, Any]], shown: Sequence[Column], verifier: str
) -> Image.Image:
    """All on one page: blocks of rows beside one another, each row below its prompt."""
    order = sorted(range(len(rows)), key=lambda i: rows[i].tag)
    high, wide = WORDS + SIDE + MARK + GAP, len(shown) * (SIDE + GAP) + 3 * GAP
    each = -(-len(rows) // BLOCKS)
    canvas = Image.new("RGB", (BLOCKS * wide + GAP, TOP + each * high), "white")
    draw = ImageDraw.Draw(canvas)
    _caption(draw, found, shown, verifier)
    for block in range(BLOCKS):
        for c, column in enumerate(shown):
            draw.text((GAP + block * wide + c * (SIDE + GAP), TOP - 20), column.title, fill="black", font=_font(12))
    for place, i in enumerate(order):
        x, y = GAP + place // each * wide, TOP + place % each * high
        text = f"{place + 1}  {rows[i].prompt}"
        draw.text((x, y + 3), text, fill="black", font=_fitting(draw, text, wide - 2 * GAP))
        for c, (image, passed) in enumerate(zip(found[i]["images"], found[i]["strict"], strict=True)):
            left = x + c * (SIDE + GAP)
            canvas.paste(_unpacked(image).convert("RGB").resize((SIDE, SIDE)), (left, y + WORDS))
            _mark(draw, left + SIDE // 2, y + WORDS + SIDE + MARK // 2, passed)
    return canvas


def _caption(draw: ImageDraw.ImageDraw, found: Sequence[Mapping], shown: Sequence[Column], verifier: str) -> None:
    amounts = " · ".join(f"{column.title}: {column.gflop:.3g}" for column in shown)
    lines = [f"{len(found)} prompts of SpriteBench dev, all tags alike, chosen by {verifier}. GFLOP at most: {amounts}"]
    if any(passed is None for one in found for passed in one["strict"]):
        lines.append("No marks: the oracle's weights are not there.")
    else:
        counts = [sum(one["strict"][c] for one in found) for c in range(len(shown))]
        passes = " · ".join(f"{column.title}: {count}" for column, count in zip(shown, counts, strict=True))
        lines.append(f"A tick: the oracle finds exactly what the prompt says. Of {len(found)}: {passes}")
    for number, line in enumerate(lines):
        draw.text((GAP, 8 + 24 * number), line, fill="black", font=_font(17))


def _mark(draw: ImageDraw.ImageDraw, x: int, y: int, passed: bool | None) -> None:
    """A tick, a cross or nothing."""
    strokes = {True: [[(-6, 0), (-2, 4), (6, -5)]], False: [[(-4, -4), (4, 4)], [(-4, 4), (4, -4)]], None: []}
    for stroke in strokes[passed]:
        draw.line([(x + dx, y + dy) for dx, dy in stroke], fill=RIGHT if passed else WRONG, width=2, joint="curve")


def _font(size: int) -> ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _fitting(draw: ImageDraw.ImageDraw, text: str, width: int) -> ImageFont.ImageFont:
    """The largest font from 14 px down in which the text fits."""
    return next((font for size in range(14, 8, -1) if draw.textlength(text, font := _font(size)) <= width), _font(8))


def save(page: Image.Image, path: Path) -> None:
    """As JPEG of at most MOST_BYTES, as good as that allows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for quality in range(92, 20, -4):
        page.save(path, quality=quality, optimize=True)
        if path.stat().st_size <= MOST_BYTES:
            return


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verifier", default="image_reward", help="who chooses (%(default)s)")
    parser.add_argument("--look", choices=LOOKS, default="rollout", help="of the beam (%(default)s)")
    parser.add_argument("--workers", type=int, default=4, help="processes of one thread each (%(default)s)")
    parser.add_argument("--out", type=Path, default=PICTURE)
    args = parser.parse_args()
    try:
        rows, shown = dev_rows(args.prompts), columns(args.verifier, args.look)
        found = pictures(rows, shown, args.seed, args.workers)
    except BeamscopeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    save(sheet(rows, found, shown, args.verifier), args.out)
    return 0


def pictures(rows: Sequence[Row], shown: Sequence[Column], seed: int, workers: int) -> list[dict[str, Any]]:
    """`drawn` for every row, resumable."""
    specs = tuple(replace(column.spec, seed=seed) for column in shown)
    sampling = [repr(getattr(load_generator(spec.generator), "sampling", None)) for spec in specs]
    weights = weights_of((*(spec.generator for spec in specs), specs[0].verifier))
    part = part_file("contact_sheet", "pictures", [spec.to_json() for spec in specs], sampling, weights)
    with bar("prompts") as progress:
        return carried_out([Piece(part, row_id(row), drawn, (specs, row)) for row in rows], workers, progress)


if __name__ == "__main__":
    sys.exit(main())
