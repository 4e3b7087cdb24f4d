"""A result as a PNG that knows how it was made: the run's spec as JSON in a text chunk, the pixels untouched.

Chunks are copied as they are, so nothing is decoded and nothing is lost. What is read back is checked like any log.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator

from core.search.errors import BadRequest
from core.search.events import RunSpec
from core.search.tree import Tree
from core.store.check import BadLog, checked_spec
from core.store.runs import RunStore

SIGNATURE = b"\x89PNG\r\n\x1a\n"
KEYWORD = b"beamscope"
MAX_SPEC = 2**20       # bytes of the JSON
MAX_CHUNKS = 10_000


def result_png(store: RunStore, run: str) -> bytes:
    """The best image of a run, with the run's spec in it. Raises BadRequest while there is no finished image."""
    tree = Tree.of(store.load(run))
    best = tree.best()
    if best is None:
        raise BadRequest(f"run {run} has no finished image yet: there is no result to hand out")
    path = store.best_image(run, best.id)
    return with_spec(path.read_bytes() if path.is_file() else _as_png(store.image(run, best.id, "final")), tree.spec)


def with_spec(png: bytes, spec: RunSpec) -> bytes:
    """The same picture with the spec in a tEXt chunk, in place of one that was there."""
    kept = [(kind, data) for kind, data in _chunks(png) if not _is_ours(kind, data)]
    text = KEYWORD + b"\0" + json.dumps(spec.to_json()).encode()
    return SIGNATURE + b"".join(_packed(*chunk) for chunk in [kept[0], (b"tEXt", text), *kept[1:]])


def spec_in(png: bytes) -> RunSpec:
    """The spec that a picture carries, checked. Raises BadRequest where it carries none, or one that cannot be."""
    text = next((data for kind, data in _chunks(png) if _is_ours(kind, data)), None)
    if text is None:
        raise BadRequest("this picture does not say how it was made: only results that this program exported do")
    try:
        if len(text) > MAX_SPEC:
            raise BadLog(f"it has {len(text)} bytes")
        return checked_spec(json.loads(text[len(KEYWORD) + 1 :]))
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"what this picture says of its making is damaged: {error}") from error


def _is_ours(kind: bytes, data: bytes) -> bool:
    return kind == b"tEXt" and data.startswith(KEYWORD + b"\0")


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, data) of every chunk. Raises BadRequest where the bytes are no PNG."""
    place = len(SIGNATURE)
    if not png.startswith(SIGNATURE):
        raise BadRequest("this is no PNG picture")
    for _ in range(MAX_CHUNKS):
        head = png[place : place + 8]
        if len(head) < 8:
            return
        length, kind = struct.unpack(">I4s", head)
        data = png[place + 8 : place + 8 + length]
        if len(data) < length:
            raise BadRequest("this PNG picture ends too early")
        yield kind, data
        place += 12 + length


def _packed(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _as_png(jpeg: bytes) -> bytes:
    from io import BytesIO

    from PIL import Image

    out = BytesIO()
    Image.open(BytesIO(jpeg)).convert("RGB").save(out, "PNG")
    return out.getvalue()
