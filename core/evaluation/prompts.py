"""Development prompts: SpriteBench's, tags taking turns, the same for everyone who asks with the same seed."""

import itertools
import random
from collections import defaultdict
from collections.abc import Sequence

from core.evaluation.spritebench.rows import FOLDER, Row, read_rows
from core.search.errors import BadRequest


def by_turns(rows: Sequence[Row], count: int) -> list[Row]:
    """`count` rows, as many of each tag as can be, the first of each tag first. Raises BadRequest if there are fewer.

    What is chosen for a smaller count is chosen for every larger one too.
    """
    if not 1 <= count <= len(rows):
        raise BadRequest(f"{count} prompts cannot be had: there are {len(rows)}, ask for 1 to {len(rows)}")
    turns = defaultdict(itertools.count)
    numbered = [(next(turns[row.tag]), row) for row in rows]
    return [row for _, row in sorted(numbered, key=lambda turn: turn[0])][:count]


def dev_rows(count: int, seed: int | None = None) -> list[Row]:
    """Rows of the dev split by turns, in the order of the file or in one that `seed` decides."""
    rows = read_rows(FOLDER / "dev.jsonl")
    return by_turns(rows if seed is None else random.Random(seed).sample(rows, len(rows)), count)


def dev_prompts(count: int, seed: int = 0) -> list[str]:
    return [row.prompt for row in dev_rows(count, seed)]
