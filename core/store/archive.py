"""A comparison as one file, run.zip, that another machine can open: specs, events, pictures and versions.

    run.json                      what it is: format, versions, and of every lane what the store knows of it
    lanes/0/events.jsonl          the log of the run; lanes/1 is the run beside it
    lanes/0/previews/*.jpg|png    its pictures, under the names that the events give them

Writing only; core/store/archive_read.py opens such a file and trusts nothing in it.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO

from core.search import events as ev
from core.search.errors import BadRequest
from core.store.runs import RunStore
from core.store.writer import LOG, best_name

FORMAT, VERSION, MANIFEST = "beamscope-run", 1, "run.json"
PACKAGES = ("torch", "numpy", "pillow")             # what a repeated run's numbers depend on
KEPT_META = ("created", "title")                    # the rest names runs of this store
EPOCH = (1980, 1, 1, 0, 0, 0)                       # of every file in the archive: equal runs give equal archives


def write_archive(store: RunStore, run: str, file: Path | BinaryIO) -> None:
    """Write a run, and the one it is compared with, as a zip. Only whole events of a run that goes on are in it.

    Raises BadRequest if there is no such run, or nothing of it yet.
    """
    lanes = [(name, store.load(name)) for name in lanes_of(store, run)]
    if not lanes[0][1]:
        raise BadRequest(f"run {run} has no event yet: export it once its tree is there")
    lanes = [(name, events) for name, events in lanes if events]
    with zipfile.ZipFile(file, "w") as archive:
        manifest = {"format": FORMAT, "version": VERSION, "versions": versions(),
                    "lanes": [_known(store, name) for name, _ in lanes]}
        _add(archive, MANIFEST, json.dumps(manifest, indent=1).encode())
        for index, (name, events) in enumerate(lanes):
            _add_lane(archive, store.folder(name), f"lanes/{index}/", events)


def lanes_of(store: RunStore, run: str) -> list[str]:
    """The run and, where it is here too, the one beside it."""
    beside = store.meta(run)["beside"]
    return [run, beside] if beside and store.has(beside) else [run]


def versions() -> dict[str, str | int]:
    """Of the events and of the packages that numbers depend on, where these are installed."""
    found: dict[str, str | int] = {"events": ev.VERSION}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def pictures_of(events: list[ev.Event]) -> Iterator[str]:
    """The names of all pictures that a log speaks of, each once: as seen, then the lossless results."""
    names: dict[str, None] = {}
    for event in events:
        if isinstance(event, ev.WithImages):
            names |= dict.fromkeys(ev.image_ref(node, event.image_kind) for node in event.images)
        if isinstance(event, ev.Improved | ev.Judged | ev.Picked):
            names[best_name(event.node)] = None
    yield from names


def _known(store: RunStore, run: str) -> dict[str, Any]:
    meta = store.meta(run)
    return {"run": run, **{key: meta[key] for key in KEPT_META}}


def _add_lane(archive: zipfile.ZipFile, folder: Path, prefix: str, events: list[ev.Event]) -> None:
    lines = [json.dumps(event.to_json(), allow_nan=False) + "\n" for event in events]
    _add(archive, prefix + LOG, "".join(lines).encode())
    for name in pictures_of(events):
        if (folder / name).is_file():
            _add(archive, prefix + name, (folder / name).read_bytes(), zipfile.ZIP_STORED)   # compressed already


def _add(archive: zipfile.ZipFile, name: str, data: bytes, method: int = zipfile.ZIP_DEFLATED) -> None:
    info = zipfile.ZipInfo(name, EPOCH)
    info.compress_type = method
    archive.writestr(info, data)
