"""A run as one HTML file that needs no server: frames, pictures, drawing and style inside, and not one request.

The browser's own copy of a comparison (static/store.js) goes with it, so that the file replays exactly what the page
did. Its policy forbids it to fetch anything.
"""

import base64
import html
import json
import re
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from PIL import Image

from demo import inspect, strings, view
from demo.streaming import Reader
from demo.theme import STATIC

SCRIPTS = ("dom.js", "store.js", "replay_tree.js", "replay.js")   # in this order: each needs only those before it
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
THUMB, LARGE = 72, 256    # px
THUMB_QUALITY, LARGE_QUALITY = 68, 85

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<main id="replay"><p>{loading}</p></main>
<script type="application/json" id="run">{data}</script>
<script type="module">
{script}
</script>
</body>
</html>
"""


def replay_page(reply: Mapping[str, Any], lanes: Sequence[Reader]) -> str:
    """The file. reply: all frames of the run, as the page is sent them; lanes: their readers."""
    data = {
        "reply": {key: reply[key] for key in ("run", "head", "lanes")} | {"live": False, "queue": None},
        "lanes": [_lane(lane) for lane in lanes],
        "strings": strings.REPLAY,
    }
    head = reply["head"]
    return PAGE.format(
        policy=POLICY, title=html.escape(f"{head['prompt']} · {strings.TITLE}"), loading=strings.REPLAY["loading"],
        style=(STATIC / "replay.css").read_text("utf-8"), data=_as_script(data), script=_bundle(),
    )  # fmt: skip


def _as_script(data: Any) -> str:
    """JSON in which no markup can begin."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _bundle() -> str:
    """The modules as one script: they share its names, so nothing is imported or exported."""
    whole = "\n".join((STATIC / name).read_text("utf-8") for name in SCRIPTS)
    return re.sub(r"^import [^;]*;\n", "", re.sub(r"^export ", "", whole, flags=re.M), flags=re.M)


# Pictures and sentences of a lane

def _lane(reader: Reader) -> dict[str, Any]:
    """By node: small pictures of those drawn, large ones of those that matter, and why each was kept or pruned."""
    tree, rows = reader.tree, view.rows(reader.tree)
    drawn = {id: row["image"] for id, row in rows.items() if row["y"] is not None}
    pictures = {id: kind for id, kind in drawn.items() if kind}
    best = {node: "f" for _, node, _ in tree.improvements} | ({tree.best().id: "f"} if tree.best() else {})
    path = {id: rows[id]["image"] for id in view.best_path(tree) if rows[id]["image"]}
    return {
        "thumbs": _read(reader, pictures, THUMB, THUMB_QUALITY),
        "large": _read(reader, {**path, **best}, LARGE, LARGE_QUALITY),
        "why": {id: inspect.why(tree, tree.nodes[id]) for id in drawn},
    }


def _read(reader: Reader, kinds: Mapping[int, str], px: int, quality: int) -> dict[int, str]:
    """Data addresses of the pictures that are there, none larger than `px`."""
    found = {}
    for node, kind in kinds.items():
        try:
            stored = reader.store.image(reader.run, node, view.PICTURES[kind])
        except FileNotFoundError:
            continue
        found[node] = f"data:image/webp;base64,{base64.b64encode(_fitted(stored, px, quality)).decode()}"
    return found


def _fitted(jpeg: bytes, px: int, quality: int) -> bytes:
    """As WebP: a third of a JPEG's bytes at this size."""
    with Image.open(BytesIO(jpeg)) as image:
        out, side = BytesIO(), min(px, *image.size)
        small = image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
        small.save(out, "WEBP", quality=quality, method=2)
        return out.getvalue()
