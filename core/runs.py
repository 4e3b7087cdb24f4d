"""The run store: every run is a folder with an append-only event log and its pictures.

An event that was appended survives the death of the process: its pictures are written first, then one line, which is
synced. A torn last line was never acknowledged and is ignored. The log's writer holds a lock on it as long as it
lives, so a run without an end and without a writer is known to be interrupted. Several processes may share a store.
It knows nothing of models and does not draw.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Self

from core.search import events as ev
from core.search.errors import BadRequest

try:
    import fcntl
except ImportError:   # not on Windows: there a writer counts as gone after a minute of silence
    fcntl = None

RUN_ID = re.compile(r"[a-z0-9-]{8,40}")
SILENCE = 60.0        # seconds
TAIL = 4096           # bytes; a last event is shorter


def default_root() -> Path:
    return Path(os.environ.get("BEAMSCOPE_RUNS") or Path.home() / ".cache" / "beamscope" / "runs")


@dataclass(frozen=True)
class RunInfo:
    run: str
    created: str           # ISO 8601, UTC
    title: str
    beside: str | None     # the run it is compared with
    status: str            # running, interrupted, finished, cancelled or failed


class RunWriter:
    """Appends one run's events. Close it, or leave its `with` block, when the run is over."""

    def __init__(self, folder: Path):
        self.run, self._folder = folder.name, folder
        (folder / "previews").mkdir()
        self._log = open(folder / "events.jsonl", "ab")   # noqa: SIM115  open as long as the run
        if fcntl:
            fcntl.flock(self._log, fcntl.LOCK_EX)
        self._finished: dict[int, ev.Image] = {}   # of the last Scored event that has finished images

    def append(self, event: ev.Event) -> None:
        """Keep an event for good: once this returns, it is there."""
        data = event.to_json()
        if isinstance(event, ev.WithImages):
            for node, image in event.images.items():
                (self._folder / data["images"][str(node)]).write_bytes(_jpeg(image))
        if isinstance(event, ev.Scored) and event.finished:
            self._finished = event.images
        if isinstance(event, ev.Improved):
            (self._folder / _best_name(event.node)).write_bytes(_png(self._finished[event.node]))
        self._log.write(json.dumps(data, allow_nan=False).encode() + b"\n")
        self._log.flush()
        os.fsync(self._log.fileno())

    def close(self) -> None:
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RunStore:
    """The runs under one folder. Every id and kind is checked before a path is made of it.

    Methods that take a run raise BadRequest when there is no such run.
    """

    def __init__(self, root: Path | None = None):
        self.root = Path(root) if root else default_root()

    def create(self, spec: ev.RunSpec, beside: str | None = None) -> RunWriter:
        """A new, empty run. `beside` names the run it is compared with. Raises BadRequest if none can be kept."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadRequest(
                f"cannot keep runs in {self.root}: {error.strerror}; set BEAMSCOPE_RUNS to another folder"
            ) from error
        folder = self.root / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(4)}"
        folder.mkdir()
        writer = RunWriter(folder)
        created = datetime.now(UTC).isoformat(timespec="milliseconds")
        meta = {"created": created, "title": spec.prompt, "beside": beside}
        draft = folder / "meta.part"
        draft.write_text(json.dumps(meta))
        draft.replace(folder / "meta.json")   # a run without this file does not exist
        return writer

    def has(self, run: Any) -> bool:
        return isinstance(run, str) and bool(RUN_ID.fullmatch(run)) and (self.root / run / "meta.json").is_file()

    def folder(self, run: str) -> Path:
        if not self.has(run):
            raise BadRequest(f"there is no run {run!r} in {self.root}")
        return self.root / run

    def meta(self, run: str) -> dict[str, Any]:
        return json.loads((self.folder(run) / "meta.json").read_text())

    def load(self, run: str) -> list[ev.Event]:
        return self.read(run, 0)[0]

    def read(self, run: str, offset: int) -> tuple[list[ev.Event], int]:
        """The events from a byte offset of the log on, and the offset to go on from."""
        with open(self.folder(run) / "events.jsonl", "rb") as log:
            log.seek(offset)
            whole, newline, _torn = log.read().rpartition(b"\n")
        try:
            events = [ev.from_json(json.loads(line)) for line in whole.splitlines()]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadRequest(f"the log of run {run} is damaged: {error}") from error
        return events, offset + len(whole) + len(newline)

    def image(self, run: str, node: int, kind: ev.ImageKind) -> bytes:
        """One JPEG. Raises FileNotFoundError if the node was never shown so."""
        return (self.folder(run) / ev.image_ref(*_checked(node, kind))).read_bytes()

    def best_image(self, run: str, node: int) -> Path:
        """The lossless PNG of a node that an Improved event names."""
        return self.folder(run) / _best_name(_checked(node, "final")[0])

    def status(self, run: str) -> str:
        log = self.folder(run) / "events.jsonl"
        writing = _has_writer(log)   # asked before the log is read: what is over now is complete in it
        return _last_kind(log) or ("running" if writing else "interrupted")

    def info(self, run: str) -> RunInfo:
        return RunInfo(run=run, status=self.status(run), **self.meta(run))

    def list(self) -> list[RunInfo]:
        """All runs, the newest first."""
        names = [path.name for path in self.root.iterdir()] if self.root.is_dir() else []
        return sorted(map(self.info, filter(self.has, names)), key=lambda info: info.created, reverse=True)


def _checked(node: Any, kind: Any) -> tuple[int, ev.ImageKind]:
    if not isinstance(node, int) or isinstance(node, bool) or node < 0 or kind not in ("preview", "look", "final"):
        raise BadRequest(f"there is no image {kind!r} of node {node!r}: a node is a number, "
                         "an image a preview, look or final")
    return node, kind


def _best_name(node: int) -> str:
    return f"previews/{node}-best.png"


def _last_kind(log: Path) -> str | None:
    """The kind of the event that ended the run, if one did."""
    with open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL))
        whole, _newline, _torn = file.read().rpartition(b"\n")
    line = whole.rpartition(b"\n")[2]
    kinds = {kind.kind for kind in ev.TERMINAL}
    try:
        event = json.loads(line)
    except ValueError:   # no line yet, or the end of a long one
        return None
    kind = event.get("kind") if isinstance(event, dict) else None
    return kind if kind in kinds else None


def _has_writer(log: Path) -> bool:
    if not fcntl:
        return time.time() - log.stat().st_mtime < SILENCE
    with open(log, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _jpeg(image: ev.Image) -> bytes:
    return _encoded(image, format="JPEG", quality=90, subsampling=0)   # full colour: the pictures are small


def _png(image: ev.Image) -> bytes:
    return _encoded(image, format="PNG")


def _encoded(image: ev.Image, **how: Any) -> bytes:
    import numpy as np
    from PIL import Image

    data = BytesIO()
    Image.fromarray(np.asarray(image, np.uint8)).save(data, **how)
    return data.getvalue()
