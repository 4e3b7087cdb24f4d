"""The field's own prompt sets, from files that the user has, and the folders in which their scorers look for images.

    geneval     evaluation_metadata.jsonl: {"tag", "include": [{"class", "count", ...}], "exclude"?, "prompt"} a line.
                00000/metadata.jsonl and 00000/samples/0000.png, as its evaluate_images.py reads them; 4 images.
    compbench   T2I-CompBench(++): a text file of one category (color_val.txt, ...), a prompt a line, what follows a
                tab is not read. samples/PROMPT_000000.png numbered through, as its scorers sort them; 10 images.
    drawbench   a table with the columns Prompts and Category, separated by commas.
    parti       PartiPrompts.tsv: a table with the columns Prompt, Category, Challenge and Note, separated by tabs.
                Both were made for people's eyes and have no scorer of their own: laid out as GenEval's.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.registry import pick
from core.search.errors import BadRequest

NAME_BYTES = 255   # what file systems take


@dataclass(frozen=True)
class Item:
    prompt: str
    row: dict[str, Any]   # all that the file says of it


@dataclass(frozen=True)
class Benchmark:
    title: str
    seeds: int                    # images of a prompt that it is scored with
    prompts: int | None           # in its whole file, where that is known
    file: str                     # what is wanted, in words
    parse: Callable[[str], Iterable[Item]]   # the text of a file; raises ValueError
    image: Callable[[Item, int, int, int], str]   # item, its number, seed, seeds -> path
    beside: str | None            # path of the row, where the scorer reads it: with {number:05}

    def read(self, path: Path) -> list[Item]:
        """The prompts of a file. Raises BadRequest that names what is wrong with it, and the line."""
        try:
            text = path.read_text(encoding="utf-8-sig")
            items = list(self.parse(text))
        except OSError as error:
            raise BadRequest(f"cannot read the prompts in {path}: {error.strerror or error}") from error
        except ValueError as error:   # bytes that are no text, too
            raise BadRequest(f"{path} is no file of {self.title} ({error}): it wants {self.file}") from error
        if not items:
            raise BadRequest(f"{path} has no prompts: {self.title} wants {self.file}")
        return items


# What their files look like

def _geneval(text: str) -> Iterable[Item]:
    for number, line in _lines(text):
        try:
            row = json.loads(line)
            objects = [(one["class"], int(one["count"])) for one in row["include"]]
            if not (isinstance(row["prompt"], str) and isinstance(row["tag"], str) and objects):
                raise ValueError("prompt and tag are words, include is a list of objects")
        except KeyError as error:
            raise ValueError(f"line {number} lacks {error}") from error
        except (ValueError, TypeError) as error:
            raise ValueError(f"line {number}: {error}") from error
        yield Item(_told(row["prompt"], number), row)


def _compbench(text: str) -> Iterable[Item]:
    for number, line in _lines(text):
        prompt = _told(line.partition("\t")[0], number)
        if prompt.startswith(("{", "[")):
            raise ValueError(f"line {number} is JSON")
        if "/" in prompt:
            raise ValueError(f"line {number} has a slash: the scorers read prompts from the names of files")
        if len(prompt.encode()) + len("_000000.png") > NAME_BYTES:
            raise ValueError(f"line {number} is too long for the name of a file, from which the scorers read prompts")
        yield Item(prompt, {"prompt": prompt})


def _table(column: str, delimiter: str, others: tuple[str, ...]) -> Callable[[str], Iterable[Item]]:
    def parse(text: str) -> Iterable[Item]:
        rows = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
        names = [name.strip().lower() for name in next(rows, [])]
        if column.lower() not in names:
            raise ValueError(f"its first line has no column {column}, but {', '.join(names) or 'nothing'}")
        if lacking := [name for name in others if name.lower() not in names]:
            raise ValueError(f"its first line has no column {' and '.join(lacking)}")
        for row in rows:
            if any(cell.strip() for cell in row):
                if len(row) < len(names):
                    raise ValueError(f"line {rows.line_num} has {len(row)} columns instead of {len(names)}")
                said = dict(zip(names, row, strict=False))
                prompt = _told(said.pop(column.lower()), rows.line_num)
                yield Item(prompt, {"prompt": prompt, **said})

    return parse


def _lines(text: str) -> Iterable[tuple[int, str]]:
    return ((number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip())


def _told(prompt: str, number: int) -> str:
    if not prompt.strip():
        raise ValueError(f"line {number} has an empty prompt")
    return prompt.strip()


# Where their images lie

def _numbered(item: Item, number: int, seed: int, seeds: int) -> str:
    return f"{number:05}/samples/{seed:04}.png"


def _named(item: Item, number: int, seed: int, seeds: int) -> str:
    return f"samples/{item.prompt}_{number * seeds + seed:06}.png"


ROW = "{number:05}/metadata.jsonl"
BENCHMARKS = {
    "geneval": Benchmark("GenEval", 4, 553, "its evaluation_metadata.jsonl", _geneval, _numbered, ROW),
    "compbench": Benchmark("T2I-CompBench", 10, 300, "a text file of prompts such as color_val.txt, one a line",
                           _compbench, _named, None),
    "drawbench": Benchmark("DrawBench", 4, 200, "a CSV with the columns Prompts and Category",
                           _table("Prompts", ",", ("Category",)), _numbered, ROW),
    "parti": Benchmark("PartiPrompts", 4, None, "its PartiPrompts.tsv",
                       _table("Prompt", "\t", ("Category", "Challenge")), _numbered, ROW),
}


def benchmark(name: str) -> Benchmark:
    """Raises BadRequest with the names that there are."""
    return pick("benchmark", BENCHMARKS, name)
