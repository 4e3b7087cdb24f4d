"""Writes one run: the pictures of an event, then one line of the log, synced. Whatever fails leaves the run as it was.

A picture gets its name when it is whole and a line counts when its newline is there, so a process may be killed
between any two writes. A full disk is told as DiskFull; the space it lacked may come back and the event be tried again.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any, Self

from core.search import events as ev
from core.search.errors import BadRequest, DiskFull

try:
    import fcntl
except ImportError:   # not on Windows: there the age of the log tells whether it is being written
    fcntl = None

LOG, META, PART = "events.jsonl", "meta.json", "part"
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}   # the disk, the user's share of it, the process's largest file


class RunWriter:
    """Appends one run's events. Close it, or leave its `with` block, when the run is over.

    A new one makes the run's folder, whole or not at all. kept: events in the log.
    """

    def __init__(self, folder: Path, meta: Mapping[str, Any]):
        self.run, self.kept, self._folder, self._size = folder.name, 0, folder, 0
        self._finished: dict[int, ev.Image] = {}   # of the last Scored event that has finished images
        with full_disk_told(folder, "nothing of it was begun"):
            folder.mkdir()
            try:
                (folder / "previews").mkdir()
                self._log = _locked(folder / LOG)
                put(folder, META, json.dumps(meta).encode())   # a run without this file does not exist
            except BaseException:
                if hasattr(self, "_log"):
                    self.close()
                shutil.rmtree(folder, ignore_errors=True)
                raise

    def append(self, event: ev.Event) -> None:
        """Keep an event for good: once this returns, it is there; if it raises, nothing of it is.

        Raises DiskFull, and BadRequest unless the event is the next one: after DiskFull, the one that found no room.
        """
        if event.seq != self.kept:
            raise BadRequest(f"event {event.seq} cannot be kept in run {self.run}: its log holds {self.kept} events, "
                             f"so event {self.kept} is next")
        line = json.dumps(event.to_json(), allow_nan=False).encode() + b"\n"
        so_far = f"the run is kept up to event {self.kept - 1}" if self.kept else "none of its events is kept"
        with full_disk_told(self._folder, so_far):
            self._write(event, line)
        self._size, self.kept = self._size + len(line), self.kept + 1
        if isinstance(event, ev.Scored) and event.finished:
            self._finished = event.images

    def adopt(self, log: bytes, pictures: Iterable[tuple[str, bytes]]) -> None:
        """Keep a whole log that was written elsewhere, and checked: its pictures by name, then all lines at once.

        Raises DiskFull; then no event is kept, and the run is to be removed.
        """
        with full_disk_told(self._folder, "none of its events is kept"):
            for name, picture in pictures:
                put(self._folder, name, picture)
            _write_all(self._log.fileno(), log)
            os.fsync(self._log.fileno())
        self._size, self.kept = len(log), log.count(b"\n")

    def _write(self, event: ev.Event, line: bytes) -> None:
        new: list[str] = []
        try:
            self._cut_back()
            for name, picture in self._pictures(event):
                new += [] if (self._folder / name).exists() else [name]
                put(self._folder, name, picture)
            _write_all(self._log.fileno(), line)
            os.fsync(self._log.fileno())
        except BaseException:
            self._undo(new)
            raise

    def _pictures(self, event: ev.Event) -> Iterator[tuple[str, bytes]]:
        if isinstance(event, ev.WithImages):
            for node, image in event.images.items():
                yield ev.image_ref(node, event.image_kind), jpeg(image)
        if isinstance(event, ev.Improved):
            yield best_name(event.node), _png(self._finished[event.node])
        if isinstance(event, ev.Judged | ev.Picked):
            yield best_name(event.node), _png(event.images[event.node])

    def _undo(self, new: Sequence[str]) -> None:
        """Neither needs space. What cannot be done now is harmless: readers skip it, the next append cuts it off."""
        for name in new:
            with suppress(OSError):
                (self._folder / name).unlink(missing_ok=True)
        with suppress(OSError):
            self._cut_back()

    def _cut_back(self) -> None:
        if os.fstat(self._log.fileno()).st_size != self._size:
            os.ftruncate(self._log.fileno(), self._size)

    def close(self) -> None:
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def full_disk_told(folder: Path, kept: str) -> Iterator[None]:
    """Turns the errors of a full disk into DiskFull, which says what is kept and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise DiskFull(
            f"cannot write run {folder.name}: {folder.parent} is full ({error.strerror}); {kept}; "
            "free space there, or set BEAMSCOPE_RUNS to a folder on another disk"
        ) from error


def put(folder: Path, name: str, data: bytes, meanwhile: str = PART) -> None:
    """Write a file that is there whole or, if this raises or dies, as it was before. meanwhile: its name until then."""
    part = folder / meanwhile
    try:
        with open(part, "wb", buffering=0) as file:
            _write_all(file.fileno(), data)
        os.replace(part, folder / name)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def best_name(node: int) -> str:
    return f"previews/{node}-best.png"


def _locked(path: Path) -> Any:
    """A log to append to, without a buffer, and locked as long as it is open."""
    log = open(path, "ab", buffering=0)   # noqa: SIM115  open as long as the run
    if fcntl:
        fcntl.flock(log, fcntl.LOCK_EX)
    return log


def _write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest):]   # an almost full disk takes a part


def jpeg(image: ev.Image) -> bytes:
    """A picture as runs keep it."""
    return _encoded(image, format="JPEG", quality=90, subsampling=0)   # full colour: the pictures are small


def _png(image: ev.Image) -> bytes:
    return _encoded(image, format="PNG")


def _encoded(image: ev.Image, **how: Any) -> bytes:
    import numpy as np
    from PIL import Image

    data = BytesIO()
    Image.fromarray(np.asarray(image, np.uint8)).save(data, **how)
    return data.getvalue()
