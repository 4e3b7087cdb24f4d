"""Run a search on every prompt of a benchmark of the field and write its images where the official scorer looks.

    python -m core.cli bench images --benchmark geneval --prompts evaluation_metadata.jsonl --out images \\
        --generator infinity-2b --strategy beam_search --verifier image_reward-1.0 --budget 195images

The unit is (prompt, root seed). An image is written when it is there, so a run that was broken off goes on with the
same command; `beamscope.json` says what the folder holds, `beamscope.jsonl` what each image cost and scored. A search
that fails leaves a black image, which scorers count as wrong, and is tried again by the next run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

from core.evaluation.field.benchmarks import Benchmark, Item
from core.request import prepare
from core.search.errors import BadRequest, PromptOutOfWorld
from core.search.events import Finished, Judged, RunSpec, Scored
from core.search.search import Search

SETTING, LOG = "beamscope.json", "beamscope.jsonl"
BLACK = 512   # px, of a failed image where none was made before
Key = tuple[int, int]   # number of the prompt, seed


@dataclass(frozen=True)
class Progress:
    done: int       # images that are there
    of: int
    failed: int     # of these
    seconds: float  # a search, so far; 0 before the first

    def __str__(self) -> str:
        left = _duration(self.seconds * (self.of - self.done))
        pace = f"  {self.seconds:.1f} s an image, {left} left" if self.seconds else ""
        failed = f"  {self.failed} failed" if self.failed else ""
        return f"{self.done}/{self.of} {self.done / self.of:4.0%}{pace}{failed}"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"


def bench(
    items: Sequence[Item], of: Benchmark, spec: RunSpec, seeds: int, out: Path, show: Callable[[Progress], None],
    note: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """An image for every prompt and seed; the figures of all of them. The spec's prompt and seed are not looked at.

    `note` is told, before it begins, in what this is not the benchmark as it is published. Raises BadRequest where the
    folder holds images of another setting, and what the first prompt's request raises: a setting that cannot run is
    refused.
    """
    if seeds < 1:
        raise BadRequest(f"{seeds} seeds make no image: the least is 1")
    jobs = [(number, seed) for number in range(len(items)) for seed in range(seeds)]
    _claim(out, of, spec, seeds)
    told = _read(out, items, of, seeds)
    waiting = [key for key in jobs if key not in told or told[key]["error"]]
    if waiting:
        _try_out(replace(spec, prompt=items[waiting[0][0]].prompt, seed=waiting[0][1]))
    for line in notes(len(items), seeds, of):
        note(line)
    begun, size = monotonic(), (BLACK, BLACK)
    with (out / LOG).open("a", encoding="utf-8") as log:
        for count, (number, seed) in enumerate(waiting, 1):
            item = items[number]
            image, said = _one(replace(spec, prompt=item.prompt, seed=seed))
            size = size if image is None else image.shape[:2]
            path = of.image(item, number, seed, seeds)
            _write(out, of, number, item, path, _black(size) if image is None else image)
            told[number, seed] = {"number": number, "seed": seed, "prompt": item.prompt, "file": path} | said
            log.write(json.dumps(told[number, seed]) + "\n")
            log.flush()
            there = [told[key] for key in jobs if key in told]
            failed = sum(bool(one["error"]) for one in there)
            show(Progress(len(there), len(jobs), failed, (monotonic() - begun) / count))
    return _figures([told[key] for key in jobs], items, seeds)


# The folder

def _claim(out: Path, of: Benchmark, spec: RunSpec, seeds: int) -> None:
    """Say what the folder holds, or see that it is the same. More prompts, and where images are numbered by prompt
    more seeds, may come in later."""
    setting = {"benchmark": of.title, "setting": replace(spec, prompt="", seed=0).to_json()}
    if of.beside is None:
        setting["seeds"] = seeds   # images are numbered through
    setting = json.loads(json.dumps(setting))
    file = out / SETTING
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            file.write_text(json.dumps(setting, indent=1))
        there = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise BadRequest(f"cannot write to {out} or read its {SETTING}: {error}") from error
    if there != setting:
        changed = [key for key in setting if not isinstance(there, dict) or there.get(key) != setting[key]]
        raise BadRequest(f"{out} holds images of another {' and '.join(changed)} ({file}): choose another --out")


def _read(out: Path, items: Sequence[Item], of: Benchmark, seeds: int) -> dict[Key, dict[str, Any]]:
    """What is told of the images that are there. A last line that was cut short is taken out.

    Raises BadRequest where they were made from other prompts.
    """
    log = out / LOG
    text = log.read_text(encoding="utf-8") if log.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        log.write_text(whole, encoding="utf-8")
    told = {(row["number"], row["seed"]): row for row in map(json.loads, whole.splitlines())}
    for (number, _), row in told.items():
        if number < len(items) and items[number].prompt != row["prompt"]:
            raise BadRequest(f"{out} holds images of other prompts (number {number} was {row['prompt']!r}): choose "
                             "another --out")
    return {key: row for key, row in told.items() if (out / row["file"]).is_file()}


def _write(out: Path, of: Benchmark, number: int, item: Item, path: str, image: Any) -> None:
    """The image whole or not at all, and what its scorer reads beside it."""
    from PIL import Image

    file = out / path
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    Image.fromarray(image).save(part, "PNG")
    part.replace(file)
    if of.beside:
        (out / of.beside.format(number=number)).write_text(json.dumps(item.row) + "\n", encoding="utf-8")


def _black(size: tuple[int, int]) -> Any:
    import numpy as np

    return np.zeros((*size, 3), np.uint8)


# A search

def _try_out(spec: RunSpec) -> None:
    with suppress(PromptOutOfWorld):   # of this prompt, not of the setting
        prepare(spec)


def _one(spec: RunSpec) -> tuple[Any, dict[str, Any]]:
    """(image, what is told of it); no image where anything went wrong. Never raises but for a person's Ctrl-C."""
    begun = monotonic()
    try:
        image, said = _searched(spec)
    except Exception as error:   # whatever it is, the image is not there
        image, said = None, {"error": " ".join(f"{type(error).__name__}: {error}".split())}
    return image, said | {"seconds": round(monotonic() - begun, 3)}


def _searched(spec: RunSpec) -> tuple[Any, dict[str, Any]]:
    prepared = prepare(spec)
    search = Search(prepared.generator, prepared.verifiers, prepared.spec, display=False)
    images: dict[int, Any] = {}
    for event in search.run():
        if isinstance(event, Judged) or isinstance(event, Scored) and event.finished:
            images |= event.images
    end = search.tree.end
    if not isinstance(end, Finished):
        raise RuntimeError(getattr(end, "message", "the search came to no end"))
    return images[end.node], {
        "error": None, "scores": end.scores, "cost": search.tree.spent.to_json(), "params": dict(prepared.spec.params),
    }  # fmt: skip


# What is said at the end

def _figures(told: Sequence[dict[str, Any]], items: Sequence[Item], seeds: int) -> dict[str, Any]:
    ran = [row for row in told if not row["error"]]
    scores = [row["scores"] for row in ran]
    errors = [row["error"] for row in told if row["error"]]
    return {
        "prompts": len(items), "seeds": seeds, "images": len(told), "failed": len(errors),
        "scores": {name: round(sum(one[name] for one in scores) / len(scores), 4) for name in (scores or [{}])[0]},
        "seconds": round(sum(row["seconds"] for row in ran) / len(ran), 3) if ran else None,
        "errors": {error: errors.count(error) for error in dict.fromkeys(errors)},
    }  # fmt: skip


def lines(found: dict[str, Any], out: Path) -> list[str]:
    """The figures for people."""
    told = [f"{found['images']} images of {found['prompts']} prompts x {found['seeds']} seeds in {out}"]
    told += [f"mean {name} {value:g}" for name, value in found["scores"].items()]
    if found["failed"]:
        told.append(f"{found['failed']} failed, black images in their places; the same command tries them again")
        told += [f"  {times} x {error}" for error, times in found["errors"].items()]
    return told


def notes(prompts: int, seeds: int, of: Benchmark) -> list[str]:
    """In what this is not the benchmark as it is published."""
    told = []
    if of.prompts and prompts != of.prompts:
        told.append(f"{prompts} prompts; {of.title} has {of.prompts}")
    if seeds != of.seeds:
        told.append(f"{seeds} images a prompt; {of.title} is scored with {of.seeds}")
    return told
