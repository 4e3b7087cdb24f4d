"""What the stage asks while it shows a run: frames from where it left off, and the facts of one node."""

from typing import Any

from fastapi import FastAPI, Request

from core.search.errors import BadRequest
from demo import remote, strings
from demo.context import Context


def add_frames(app: FastAPI, context: Context) -> None:
    @app.get("/data/frames")
    async def frames(request: Request, run: str = "", since: str = "") -> dict[str, Any]:
        asked = {"run": run, "since": [_number(part) for part in since.split(",")] if since else []}
        return await remote.follow(context, asked, context.visitors.of(request))

    @app.get("/data/inspect")
    def inspect(request: Request, run: str = "", node: str = "") -> dict[str, Any]:
        asked = {"run": run, "node": _number(node) if node else None}
        return remote.inspect(context, asked, context.visitors.of(request))


def _number(text: str) -> int:
    """Raises BadRequest unless the text is a whole number of a few digits."""
    if not (text.isascii() and text.isdigit() and len(text) < 8):
        raise BadRequest(strings.BAD_REQUEST)
    return int(text)
