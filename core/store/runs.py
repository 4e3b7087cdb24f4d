"""The run store: every run is a folder with an append-only event log and its pictures.

An event that was appended survives the death of the process: its pictures are written first, then one line, which is
synced. A torn last line was never acknowledged and is ignored. The log's writer holds a lock on it as long as it
lives, so a run without an end and without a writer is known to be interrupted. Several processes may share a store.
Runs that were not used for long make room for new ones, pinned runs never.
It knows nothing of models and does not draw.
"""

from __future__ import annotations

import json
import math
import os
import re
import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.search import events as ev
from core.search.budget import Cost
from core.search.errors import BadRequest
from core.store import prune
from core.store.prune import PINNED, has_writer, size_of, touch
from core.store.writer import LOG, META, RunWriter, best_name, full_disk_told, jpeg, put

RUN_ID = re.compile(r"[a-z0-9-]{8,40}")
DECODED = "decoded.jsonl"   # a line for every preview that was decoded on demand
TAIL = 4096           # bytes; most last events are shorter
CAP_MB = 2048         # MB of 2**20 bytes: some thousands of runs of the embedded models


def default_root() -> Path:
    return Path(os.environ.get("BEAMSCOPE_RUNS") or Path.home() / ".cache" / "beamscope" / "runs")


def default_cap() -> float:
    """In bytes. Raises BadRequest when BEAMSCOPE_RUNS_MB says none."""
    text = os.environ.get("BEAMSCOPE_RUNS_MB") or str(CAP_MB)
    with suppress(ValueError):
        if float(text) >= 0:
            return float(text) * 2**20
    raise BadRequest(f"BEAMSCOPE_RUNS_MB is {text!r}: it is a number of megabytes, 0 or more, or inf to keep all runs")


@dataclass(frozen=True)
class RunInfo:
    run: str
    created: str           # ISO 8601, UTC
    title: str
    beside: str | None     # the run it is compared with
    parent: str | None     # the run whose node it goes on from
    status: str            # running, interrupted, finished, cancelled or failed
    pinned: bool           # never makes room
    bytes: int             # on disk


class RunStore:
    """The runs under one folder. Every id and kind is checked before a path is made of it.

    Methods that take a run raise BadRequest when there is no such run, or no longer.
    cap_bytes: runs that were not used for longest are dropped when a run is created and all take more than this;
    None is what BEAMSCOPE_RUNS_MB says, inf keeps all. read_only: nothing in the folder is ever changed.
    """

    def __init__(self, root: Path | None = None, cap_bytes: float | None = None, read_only: bool = False):
        self.root, self.read_only = Path(root) if root else default_root(), read_only
        self.cap_bytes = default_cap() if cap_bytes is None else cap_bytes

    def create(
        self, spec: ev.RunSpec, beside: str | None = None, parent: str | None = None,
        marks: Mapping[str, Any] | None = None,
    ) -> RunWriter:
        """A new, empty run. `beside` names the run it is compared with, `parent` the one that it goes on from
        (by default the one that its spec names); `marks` is what else its meta says.

        Raises BadRequest if none can be kept here, DiskFull if there is no room for it.
        """
        self._check_writable()
        now = datetime.now(UTC)
        folder = self.root / f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
        try:
            with full_disk_told(folder, "nothing of it was begun"):
                self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadRequest(
                f"cannot keep runs in {self.root}: {error.strerror}; set BEAMSCOPE_RUNS to another folder"
            ) from error
        parent = parent or (spec.origin.run if spec.origin else None)
        self.prune(keep={beside, parent})
        created = now.isoformat(timespec="milliseconds")
        known = {"created": created, "title": spec.prompt, "beside": beside, "parent": parent}
        return RunWriter(folder, {**(marks or {}), **known})

    def prune(self, keep: Collection[str | None] = ()) -> list[str]:
        """Drop the runs that were not used for longest until the rest fits under the cap; the runs dropped.

        Never a pinned run, one that is being written or one of `keep`; runs that are compared stay or go together.
        """
        if self.read_only or self.cap_bytes == math.inf or not self.root.is_dir():
            return []
        with prune.alone(self.root):
            dropped = prune.prune(self.root, self._runs(), self.cap_bytes, keep)
        prune.sweep(self.root)
        return dropped

    def pin(self, run: str, pinned: bool = True) -> None:
        """Keep a run, and the one it is compared with, whatever the cap; or no longer."""
        self._check_writable()
        with self._opened(run) as folder, prune.alone(self.root), full_disk_told(folder, "it is not pinned"):
            if pinned:
                (folder / PINNED).touch()
            else:
                (folder / PINNED).unlink(missing_ok=True)

    def delete(self, run: str) -> list[str]:
        """Remove a run, and the one it is compared with, pinned or not; the ids that are gone.

        Raises BadRequest for a run that is still being written.
        """
        self._check_writable()
        beside = self.meta(run)["beside"]
        with self._opened(run), prune.alone(self.root):
            going = [run, *([beside] if beside and self.has(beside) else [])]
            if any(has_writer(self.root / one / LOG) for one in going):
                raise BadRequest(f"run {run} is still being written: stop it first, then delete it")
            prune.drop(self.root, going)
        prune.sweep(self.root)
        return going

    def _check_writable(self) -> None:
        if self.read_only:
            raise BadRequest(f"the runs in {self.root} are only read; set BEAMSCOPE_RUNS to a folder for new ones")

    def has(self, run: Any) -> bool:
        return isinstance(run, str) and bool(RUN_ID.fullmatch(run)) and (self.root / run / META).is_file()

    def folder(self, run: str) -> Path:
        if not self.has(run):
            raise BadRequest(f"there is no run {run!r} in {self.root}")
        return self.root / run

    def meta(self, run: str) -> dict[str, Any]:
        """What is known of a run without its log: created, title, beside, parent."""
        with self._opened(run, use=False) as folder:
            text = (folder / META).read_bytes()
        try:
            return {"created": "", "title": "", "beside": None, "parent": None, **json.loads(text)}
        except (ValueError, TypeError) as error:
            raise BadRequest(f"{META} of run {run} is damaged: {error}") from error

    def load(self, run: str) -> list[ev.Event]:
        return self.read(run, 0)[0]

    def read(self, run: str, offset: int) -> tuple[list[ev.Event], int]:
        """The events from a byte offset of the log on, and the offset to go on from."""
        with self._opened(run) as folder, open(folder / LOG, "rb") as log:
            log.seek(offset)
            whole, newline, _torn = log.read().rpartition(b"\n")
        try:
            events = [ev.from_json(json.loads(line)) for line in whole.splitlines()]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadRequest(f"the log of run {run} is damaged: {error}") from error
        return events, offset + len(whole) + len(newline)

    def image(self, run: str, node: int, kind: ev.ImageKind) -> bytes:
        """One JPEG. Raises FileNotFoundError if the node was never shown so."""
        name = ev.image_ref(*_checked(node, kind))
        with self._opened(run) as folder:
            return (folder / name).read_bytes()

    def keep_decoded(self, run: str, node: int, image: ev.Image, cost: Cost) -> None:
        """Keep a preview that was decoded on demand, and what that cost; the log and its sums stay as they are.

        Raises DiskFull.
        """
        self._check_writable()
        name, line = ev.image_ref(*_checked(node, "preview")), {"node": node, "cost": cost.to_json()}
        with self._opened(run) as folder, full_disk_told(folder, "the picture is not kept"):
            put(folder, name, jpeg(image), f"part-{node}")
            with open(folder / DECODED, "ab") as file:
                file.write(json.dumps(line).encode() + b"\n")

    def decoded(self, run: str) -> dict[int, Cost]:
        """What was decoded on demand, by node."""
        with self._opened(run, use=False) as folder:
            if not (folder / DECODED).exists():
                return {}
            whole = (folder / DECODED).read_bytes().rpartition(b"\n")[0]
        lines = [json.loads(line) for line in whole.splitlines()]
        return {line["node"]: Cost.from_json(line["cost"]) for line in lines}

    def best_image(self, run: str, node: int) -> Path:
        """The lossless PNG of a node that an Improved, Judged or Picked event names."""
        with self._opened(run) as folder:
            return folder / best_name(_checked(node, "final")[0])

    def status(self, run: str) -> str:
        with self._opened(run, use=False) as folder:
            writing = has_writer(folder / LOG)   # asked before the log is read: what is over now is complete in it
            return _last_kind(folder / LOG) or ("running" if writing else "interrupted")

    def info(self, run: str) -> RunInfo:
        status, meta, folder = self.status(run), self.meta(run), self.folder(run)
        known = {key: meta[key] for key in ("created", "title", "beside", "parent")}
        return RunInfo(run=run, status=status, pinned=(folder / PINNED).exists(), bytes=size_of(folder), **known)

    def ids(self) -> list[str]:
        """All runs, in the order of their names, which begin with the time."""
        return self._runs()

    def list(self) -> list[RunInfo]:
        """All runs, the newest first."""
        infos = []
        for run in self._runs():
            with suppress(BadRequest, FileNotFoundError):   # it was dropped this moment, or lacks a file
                infos.append(self.info(run))
        return sorted(infos, key=lambda info: info.created, reverse=True)

    def _runs(self) -> list[str]:
        return sorted(filter(self.has, os.listdir(self.root))) if self.root.is_dir() else []

    @contextmanager
    def _opened(self, run: str, use: bool = True) -> Iterator[Path]:
        """The folder of a run that is there as long as the block lasts; `use` notes that somebody wanted it."""
        folder = self.folder(run)
        if use and not self.read_only:
            touch(folder)
        try:
            yield folder
        except FileNotFoundError:
            self.folder(run)   # raises BadRequest if the run was dropped this moment
            raise


def _checked(node: Any, kind: Any) -> tuple[int, ev.ImageKind]:
    if not isinstance(node, int) or isinstance(node, bool) or node < 0 or kind not in ("preview", "look", "final"):
        raise BadRequest(f"there is no image {kind!r} of node {node!r}: a node is a number, "
                         "an image a preview, look or final")
    return node, kind


def _last_kind(log: Path) -> str | None:
    """The kind of the event that ended the run, if one did."""
    kinds = {kind.kind for kind in ev.TERMINAL}
    try:
        event = json.loads(_last_line(log))
    except ValueError:   # no line yet
        return None
    kind = event.get("kind") if isinstance(event, dict) else None
    return kind if kind in kinds else None


def _last_line(log: Path) -> bytes:
    """The last line that is whole, read from the end."""
    with open(log, "rb") as file:
        size, tail = file.seek(0, os.SEEK_END), TAIL
        while True:
            file.seek(max(0, size - tail))
            before, _newline, line = file.read().rpartition(b"\n")[0].rpartition(b"\n")
            if before or tail >= size:
                return line
            tail *= 2
