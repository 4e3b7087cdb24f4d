"""Work in pieces whose results are kept as they come, so that what was broken off goes on where it was.

A result is one line of JSON in a part, a file that pieces of one setting share; a piece that is found there is not
worked on again. Parts lie in the cache, named by all that decides their results.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from time import monotonic
from typing import Any

from core.evaluation.oracle.oracle import FOLDER as ORACLE
from core.models.weights import FOLDER as WEIGHTS
from core.search.errors import BadRequest
from core.world.sprites import cache_folder

Progress = Callable[[int, int, float], None]  # done, of, seconds left
CARDS = {"emoji-ar": "next_scale", "emoji-flow": "flow", "emoji-flow-sde": "flow"}  # whose weights have another name


@dataclass(frozen=True)
class Piece:
    part: Path
    key: str  # of its result in the part
    work: Callable[..., dict[str, Any]]  # a function that another process can import; its result goes into JSON
    args: tuple = ()
    seconds: float = 1.0  # it will take about as long


def part_file(folder: str, name: str, *decisive: Any) -> Path:
    """The part of a setting: another file if anything `decisive` is another. Raises TypeError for what JSON is not."""
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
    return cache_folder() / folder / f"{name}-{digest[:12]}.jsonl"


def weights_of(names: Iterable[str]) -> dict[str, str]:
    """The sha256 of the weights behind generators, verifiers and the oracle: retrained, they decide other results."""
    folders = {"oracle": ORACLE.glob("*.json")}
    cards = {name: [WEIGHTS / f"{CARDS.get(name, name)}.json"] for name in (*names, "tokenizer")} | folders
    return {f"{name}/{card.stem}": json.loads(card.read_text()).get("sha256", "")
            for name, found in cards.items() for card in sorted(found) if card.exists()}  # fmt: skip


def results_in(part: Path) -> dict[str, dict[str, Any]]:
    """What was kept, by key. A last line that was cut short is taken out."""
    text = part.read_text() if part.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        part.write_text(whole)
    return {line["key"]: line["result"] for line in map(json.loads, whole.splitlines())}


def waiting(pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces that have no result yet."""
    known = {part: results_in(part) for part in dict.fromkeys(piece.part for piece in pieces)}
    return [piece for piece in pieces if piece.key not in known[piece.part]]


def carried_out(pieces: Sequence[Piece], workers: int = 1, progress: Progress | None = None) -> list[dict[str, Any]]:
    """The results of all pieces, in order; those that are not kept yet are worked on first.

    More workers than one are processes of one thread each. Raises what `work` raises, and BadRequest for no workers.
    """
    if workers < 1:
        raise BadRequest(f"{workers} workers do nothing: the least is 1")
    missing, began, worked = waiting(pieces), monotonic(), 0.0
    total = sum(piece.seconds for piece in missing)
    for number, (piece, result) in enumerate(_worked_on(missing, workers), 1):
        piece.part.parent.mkdir(parents=True, exist_ok=True)
        with piece.part.open("a") as file:
            file.write(json.dumps({"key": piece.key, "result": result}) + "\n")
        worked += piece.seconds
        if progress:
            left = (total - worked) * (monotonic() - began) / max(worked, 1e-9)
            progress(len(pieces) - len(missing) + number, len(pieces), left)
    known = {part: results_in(part) for part in dict.fromkeys(piece.part for piece in pieces)}
    return [known[piece.part][piece.key] for piece in pieces]


def _worked_on(pieces: Sequence[Piece], workers: int) -> Iterator[tuple[Piece, dict[str, Any]]]:
    """Pieces with their results, as they come."""
    if workers == 1 or not pieces:
        yield from ((piece, piece.work(*piece.args)) for piece in pieces)
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_one_thread)
    try:
        running = {pool.submit(piece.work, *piece.args): piece for piece in pieces}
        for future in as_completed(running):
            yield running.pop(future), future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)  # workers share the cores


@contextmanager
def bar(what: str, every: float = 1.0) -> Iterator[Progress]:
    """A line on stderr that says how far the work is and how long it will take, at most once in `every` seconds."""
    shown = monotonic()

    def told(done: int, of: int, left: float) -> None:
        nonlocal shown
        if done == of or monotonic() - shown >= every:
            shown = monotonic()
            line = f"{what} {done}/{of} {done / of:4.0%}  {in_time(left)} left"
            print(f"\r{line:<60}", end="", file=sys.stderr, flush=True)

    yield told
    print(file=sys.stderr)


def in_time(seconds: float) -> str:
    """As people say it: "35 s", "12 min", "2.4 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
