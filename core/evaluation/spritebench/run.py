"""Run a search on every prompt of SpriteBench and let the oracle look at what it returns. Resumable, row by row.

The unit is (prompt, root seed); seeds are the same for every setting. What fails counts as wrong and stays in: an
exception, a refusal, a run out of time. The search never learns what the oracle says.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from time import monotonic
from typing import Any

from core.evaluation.oracle.check import FAILED, Verdict, check
from core.evaluation.oracle.oracle import FOLDER as ORACLE
from core.evaluation.oracle.oracle import load_oracle
from core.evaluation.spritebench.rows import FOLDER, Row, read_rows
from core.models.weights import FOLDER as WEIGHTS
from core.request import prepare
from core.search.errors import BadRequest
from core.search.events import Finished, Judged, RunSpec, Scored
from core.search.search import Search
from core.world.sprites import cache_folder

OPENED = FOLDER / "test_opened.log"
TIME_LIMIT = 600.0  # s a run; one that takes longer is stopped and counts as wrong
Progress = Callable[[int, int, float], None]  # done, of, strict so far
Job = tuple[Row, RunSpec]


def chosen(split: str, path: Path | None, limit: int | None) -> list[Row]:
    """The prompts of a split, or of a file, or the first few. Opening the test split leaves a line in OPENED."""
    if limit is not None and limit < 1:
        raise BadRequest(f"a limit of {limit} prompts leaves nothing to run: the least is 1")
    rows = read_rows(path or FOLDER / f"{split}.jsonl")[:limit]
    if split == "test" and path is None:
        with OPENED.open("a") as log:
            log.write(f"{datetime.now():%Y-%m-%d %H:%M}, {len(rows)} prompts: {shlex.join(sys.argv[1:])}\n")
    return rows


def bench(
    rows: Sequence[Row], spec: RunSpec, seeds: int, progress: Progress, workers: int = 1, part: Path | None = None
) -> list[dict[str, Any]]:
    """One result for every row and seed, in that order. `spec` is the setting; its prompt and seed are not looked at.

    Results are appended to `part`, by default in the cache, and found there again. Raises what the first prompt's
    request or the oracle's weights raise: a setting that cannot run is refused, not scored.
    """
    if seeds < 1 or workers < 1:
        raise BadRequest(f"{seeds} seeds on {workers} workers run nothing: the least is 1 of each")
    part = part or part_file(spec)
    done = _read(part)
    jobs = [(row, replace(spec, prompt=row.prompt, seed=seed)) for row in rows for seed in range(seeds)]
    wanted = [_key(job) for job in jobs]
    waiting = [job for job in jobs if _key(job) not in done]
    if waiting:
        prepare(waiting[0][1])
        load_oracle()
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("a") as file:
            for result in _results(waiting, workers):
                file.write(json.dumps(result) + "\n")
                file.flush()
                done[result["id"], result["seed"]] = result
                found = [done[key]["strict"] for key in wanted if key in done]
                progress(len(found), len(wanted), sum(found) / len(found))
    return [done[key] for key in wanted]


def part_file(spec: RunSpec) -> Path:
    """Where the results of a setting are kept: under another name if the setting or any weights are others."""
    weights = {path.name: json.loads(path.read_text())["sha256"]
               for folder in (WEIGHTS, ORACLE) for path in sorted(folder.glob("*.json"))}  # fmt: skip
    key = json.dumps([replace(spec, prompt="", seed=0).to_json(), weights])
    name = f"{spec.generator}-{spec.strategy}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    return cache_folder() / "spritebench" / f"{name}.jsonl"


def _key(job: Job) -> tuple[str, int]:
    return row_id(job[0]), job[1].seed


def row_id(row: Row) -> str:
    """The row's id, and a mark of what it says: a changed prompt is another one."""
    mark = hashlib.sha256(json.dumps(row.to_json()).encode()).hexdigest()[:8]
    return f"{row.id}:{mark}"


def _read(part: Path) -> dict[tuple[str, int], dict]:
    """The results of a run that was broken off. A last line that was cut short is taken out."""
    text = part.read_text() if part.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        part.write_text(whole)
    return {(result["id"], result["seed"]): result for result in map(json.loads, whole.splitlines())}


def _results(jobs: Sequence[Job], workers: int) -> Iterator[dict]:
    if workers == 1:
        yield from map(one_run, jobs)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_one_thread) as pool:
        yield from pool.map(one_run, jobs)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)  # workers share the cores


def one_run(job: Job) -> dict[str, Any]:
    """One search to its end and the oracle's verdicts, in numbers. Never raises but for a person's Ctrl-C."""
    row, spec = job
    result = {"id": row_id(row), "seed": spec.seed, "tag": row.tag, "split": row.split}
    try:
        return result | _judged(row, spec)
    except Exception as error:  # whatever it is, the image is not there
        return result | _told(FAILED) | {"error": " ".join(f"{type(error).__name__}: {error}".split())}


def _judged(row: Row, spec: RunSpec) -> dict[str, Any]:
    prepared = prepare(spec)
    end_by = monotonic() + TIME_LIMIT
    search = Search(
        prepared.generator, prepared.verifiers, prepared.spec, cancelled=lambda: monotonic() > end_by, display=False
    )
    images: dict[int, Any] = {}
    scores: dict[int, float] = {}
    for event in search.run():
        if isinstance(event, Scored) and event.finished:
            images |= event.images
            scores |= {node: said[spec.verifier] for node, said in event.scores.items()}
        elif isinstance(event, Judged):
            images |= event.images
    end, spent = search.tree.end, search.tree.spent
    if not isinstance(end, Finished):
        raise RuntimeError(getattr(end, "message", f"stopped after {TIME_LIMIT:g} s"))
    nodes = sorted(images)
    verdicts = dict(zip(nodes, _verdicts(row, [images[node] for node in nodes]), strict=True))
    return _told(verdicts[end.node]) | {
        "error": None, "scores": end.scores, "cost": spent.to_json(), "params": dict(prepared.spec.params),
        "seconds": round(search.tree.seconds, 3),
        "pool": [[round(scores[node], 5), int(verdicts[node].strict)] for node in nodes if node in scores],
    }  # fmt: skip


def _verdicts(row: Row, images: Sequence[Any]) -> list[Verdict]:
    return [check(reading, row.scene) for reading in load_oracle().read(images)]


def _told(verdict: Verdict) -> dict[str, Any]:
    return {
        "strict": int(verdict.strict), "lenient": int(verdict.lenient), "am": round(verdict.mean, 4),
        "gm": verdict.geometric, "unclear": int(verdict.unclear), "dead_zone": int(verdict.dead_zone),
        "atoms": dict(verdict.atoms),
    }  # fmt: skip
