"""Opens a run.zip, or a bare log, from anywhere and keeps it as a new run, or says what is wrong with it.

Nothing in the file is trusted. No name in it becomes a path: after the logs have been checked (core/store/check.py),
exactly the pictures that they speak of are looked for. Sizes are counted while bytes come out, whatever the file says
of them. The store chooses the ids, so no archive can replace a run. Either all of a comparison is kept, or nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from core.search import events as ev
from core.search.errors import BadRequest
from core.store.archive import FORMAT, MANIFEST, VERSION, pictures_of
from core.store.check import BadLog, checked_log
from core.store.runs import RunStore
from core.store.writer import LOG, RunWriter

MEBI = 2**20
MAX_ARCHIVE = 64 * MEBI          # bytes of the file
MAX_UNPACKED = 256 * MEBI        # bytes of everything in it that is read
MAX_LOG, MAX_PICTURE, MAX_MANIFEST = 64 * MEBI, 4 * MEBI, 64 * 1024
MAX_FILES = 60_000
MAX_INDEX = 8 * MEBI             # bytes of the zip's table of contents, which is read at once
MAX_SIDE = 4096                  # px of a picture
START = 64                       # bytes that tell what a file is
GREY_SIDE = 64                   # px of what stands for a picture that did not come along
PICTURELESS = "pictureless"      # what the meta of a run says whose pictures did not come along
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}   # others may ask for gigabytes to unpack a little
END, END_SIZE = b"PK\x05\x06", 22   # how the last record of a zip begins, and its length


@dataclass(frozen=True)
class Lane:
    """One run of an archive, checked."""

    events: tuple[ev.Event, ...]
    pictures: dict[str, bytes]           # by name


def read_archive(file: BinaryIO) -> list[Lane]:
    """The lanes of a run.zip, the searcher's first. Raises BadRequest with what is wrong."""
    _check_size(file)
    try:
        with zipfile.ZipFile(file) as archive:
            return list(_lanes(_Unpacked(archive)))
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise BadRequest(f"this is no run.zip that can be opened: {error}") from error


def import_run(store: RunStore, file: BinaryIO, marks: Mapping[str, Any] | None = None) -> str:
    """Keep what is in a run.zip or a bare log, whichever it is. Raises as `import_archive`."""
    begins = file.read(START).lstrip()[:1]
    file.seek(0)
    return (import_log if begins == b"{" else import_archive)(store, file, marks)


def import_archive(store: RunStore, file: BinaryIO, marks: Mapping[str, Any] | None = None) -> str:
    """Keep the comparison of a run.zip as new runs; the id of the first. Raises BadRequest or DiskFull.

    marks: more for the metas of the runs, as in RunStore.create.
    """
    return _keep(store, read_archive(file), marks)


def import_log(store: RunStore, file: BinaryIO, marks: Mapping[str, Any] | None = None) -> str:
    """Keep the run of a bare log, events.jsonl, or of the run.json that the command line writes: every picture that it
    speaks of is plain grey. The id of the run. Raises as `import_archive`.
    """
    data = file.read(MAX_LOG + 1)
    if len(data) > MAX_LOG:
        raise BadRequest(f"this log has more than {MAX_LOG // MEBI} MB")
    try:
        events = checked_log(_lines(data))
    except BadLog as error:
        raise BadRequest(f"this log is damaged or was made up: {error}") from error
    grey = _grey()
    names = [name for name in pictures_of(events) if name.endswith(".jpg")]
    return _keep(store, [Lane(tuple(events), dict.fromkeys(names, grey))], {**(marks or {}), PICTURELESS: True})


def _lines(data: bytes) -> list[bytes]:
    """The events of a log, one JSON object a line, or of the one object of a run.json."""
    try:
        whole = json.loads(data)
    except (ValueError, RecursionError):   # several objects: a log
        return data.splitlines()
    events = whole.get("events")
    if isinstance(events, list):
        return [json.dumps(event).encode() for event in events]
    if "kind" in whole:
        return [data]
    raise BadRequest("this run.json holds no events: drop the run.zip that it came from")


def _grey() -> bytes:
    from PIL import Image

    out = BytesIO()
    Image.new("RGB", (GREY_SIDE, GREY_SIDE), (128, 128, 128)).save(out, "JPEG")
    return out.getvalue()


def _keep(store: RunStore, lanes: list[Lane], marks: Mapping[str, Any] | None) -> str:
    """All lanes or none; the id of the first."""
    with ExitStack() as undo:
        writers: list[RunWriter] = []
        for lane in reversed(lanes):   # the first names the second
            writer = store.create(lane.events[0].spec, beside=writers[-1].run if writers else None, marks=marks)
            undo.callback(shutil.rmtree, store.folder(writer.run), ignore_errors=True)
            with writer:
                writer.adopt(_log(lane.events), lane.pictures.items())
            writers.append(writer)
        undo.pop_all()
    return writers[-1].run


def _log(events: tuple[ev.Event, ...]) -> bytes:
    return "".join(json.dumps(event.to_json(), allow_nan=False) + "\n" for event in events).encode()


# The file

def _check_size(file: BinaryIO) -> None:
    """Raises BadRequest before the table of contents is read, if that or the whole is too large."""
    size = file.seek(0, os.SEEK_END)
    if size > MAX_ARCHIVE:
        raise BadRequest(f"this file has {size / MEBI:.0f} MB; a run.zip has at most {MAX_ARCHIVE // MEBI}")
    file.seek(max(0, size - END_SIZE))
    end = file.read(END_SIZE)
    if not end.startswith(END):
        raise BadRequest("this is no run.zip: drop a file that this program exported, as it was exported")
    index = int.from_bytes(end[12:16], "little")
    if index > MAX_INDEX:
        raise BadRequest(f"this zip lists too many files: a run.zip has at most {MAX_FILES}")
    file.seek(0)


class _Unpacked:
    """The files of a zip by name, as far as they stay within all limits."""

    def __init__(self, archive: zipfile.ZipFile):
        names = archive.namelist()
        if len(names) > MAX_FILES:
            raise ValueError(f"it lists {len(names)} files; at most {MAX_FILES} are allowed")
        for name in names:
            _check_name(name)
        if len(set(names)) != len(names):
            raise ValueError("it has two files of the same name")
        self.archive, self.names, self.left = archive, frozenset(names), MAX_UNPACKED

    def read(self, name: str, limit: int) -> bytes:
        """Raises ValueError if the file is missing or larger than `limit`, or all together than MAX_UNPACKED."""
        if name not in self.names:
            raise ValueError(f"{name} is missing from it")
        limit = min(limit, self.left)
        if self.archive.getinfo(name).compress_type not in METHODS:
            raise ValueError(f"{name} is packed in an unusual way; only plain and deflated files are read")
        with self.archive.open(name) as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise ValueError(f"{name} unpacks to more than {limit} bytes")
        self.left -= len(data)
        return data


def _check_name(name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or not name.isprintable():
        raise ValueError(f"it holds a file named {name[:60]!r}, outside of its own folder")


# What is in it

def _lanes(files: _Unpacked) -> Iterator[Lane]:
    for index in range(_count(files)):
        prefix = f"lanes/{index}/"
        try:
            events = checked_log(files.read(prefix + LOG, MAX_LOG).splitlines())
        except BadLog as error:
            raise BadRequest(f"the log {prefix}{LOG} is damaged or was made up: {error}") from error
        wanted = [name for name in pictures_of(events) if _is_there(files, prefix, name)]
        yield Lane(tuple(events), {name: _picture(files, prefix, name) for name in wanted})


def _count(files: _Unpacked) -> int:
    """How many lanes the manifest names. The rest of it is for people."""
    if MANIFEST not in files.names:
        raise BadRequest(f"this zip has no {MANIFEST}: drop a file that this program exported")
    try:
        data = json.loads(files.read(MANIFEST, MAX_MANIFEST))
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"{MANIFEST} is damaged: {error}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise BadRequest(f"{MANIFEST} is not of a {FORMAT}: drop a file that this program exported")
    if data.get("version") != VERSION:
        raise BadRequest(f"this run.zip has version {str(data.get('version'))[:20]}; this program reads {VERSION}")
    lanes = data.get("lanes")
    if not isinstance(lanes, list) or len(lanes) not in (1, 2):
        raise BadRequest(f"{MANIFEST} is damaged: it names one run or two")
    return len(lanes)


def _is_there(files: _Unpacked, prefix: str, name: str) -> bool:
    """A lossless result may be missing, since there is its JPEG; no other picture may."""
    return prefix + name in files.names or not name.endswith(".png")


def _picture(files: _Unpacked, prefix: str, name: str) -> bytes:
    """The bytes of a picture that can be decoded and is no larger than it may be."""
    from PIL import Image

    data, kind = files.read(prefix + name, MAX_PICTURE), "PNG" if name.endswith(".png") else "JPEG"
    try:
        with Image.open(BytesIO(data), formats=[kind]) as image:
            if max(image.size) > MAX_SIDE:
                raise ValueError(f"it has {image.width} x {image.height} pixels")
            image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadRequest(f"the picture {prefix}{name} is damaged: {error}") from error
    return data
