"""Samples of generators on development prompts: real candidates, with all their mistakes, for auditing verifiers.

Labels of the oracle are for reporting only: no verifier is trained or tuned on them.
"""

from __future__ import annotations

import io
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from PIL import Image

from core.evaluation.headline.plan import GENERATORS
from core.evaluation.oracle.check import check
from core.evaluation.oracle.oracle import load_oracle
from core.evaluation.parts import Piece, bar, carried_out, part_file, waiting, weights_of
from core.evaluation.prompts import dev_rows
from core.evaluation.spritebench.rows import Row
from core.generators.registry import load_generator
from core.training.sheets import single_samples

PROMPTS, EACH = 120, 8  # with two generators about 2,000 images; tags take turns


def pieces(rows: Sequence[Row], generator: str, file: Path | None = None, each: int = EACH) -> list[Piece]:
    """One piece of work a prompt, kept in `file` or in the cache, under other keys if the weights are others."""
    weights = {name: sha for name, sha in weights_of([generator]).items() if not name.startswith("oracle")}
    part = part_file("candidates", generator, weights, asdict(load_generator(generator).sampling), each)
    mark = part.stem.rpartition("-")[2]
    return [Piece(file or part, f"{generator} {mark} {row.id}", drawn, (generator, row.prompt, each)) for row in rows]


def drawn(generator: str, prompt: str, each: int) -> dict[str, Any]:
    """`each` samples without search, side by side in a PNG. Every prompt has noise of its own."""
    images, page = single_samples(load_generator(generator), prompt, each, crc32(prompt.encode())), io.BytesIO()
    Image.fromarray(np.concatenate(list(images), 1)).save(page, "PNG")
    return {"png": b64encode(page.getvalue()).decode()}


def images_in(result: dict[str, Any]) -> np.ndarray:
    """uint8 [each, 128, 128, 3]."""
    with Image.open(io.BytesIO(b64decode(result["png"]))) as page:
        pixels = np.asarray(page.convert("RGB"))
    return np.stack(np.split(pixels, pixels.shape[1] // pixels.shape[0], 1))


def candidates(draw: bool, file: Path | None = None, count: int = PROMPTS) -> tuple[list[Row], dict[str, np.ndarray]]:
    """The prompts, and by generator their samples, uint8 [prompts, each, 128, 128, 3].

    Raises WeightsMissing, and FileNotFoundError where samples are missing and are not to be drawn now.
    """
    rows, found = dev_rows(count), {}
    for generator in GENERATORS:
        work = pieces(rows, generator, file)
        if not draw and (missing := len(waiting(work))):
            raise FileNotFoundError(f"{missing} prompts have no samples of {generator} yet: --candidates draws them")
        with bar(f"samples of {generator}") as progress:
            found[generator] = np.stack([images_in(result) for result in carried_out(work, progress=progress)])
    return rows, found


def outcomes(rows: Sequence[Row], images: np.ndarray) -> np.ndarray:
    """Whether each image passes the oracle, strictly: bool [prompts, each]. Raises WeightsMissing."""
    oracle = load_oracle()
    said = [[check(reading, row.scene).strict for reading in oracle.read(list(some))]
            for row, some in zip(rows, images, strict=True)]  # fmt: skip
    return np.asarray(said)
