"""Pictures of nodes by immutable address. Every id in an address is looked up, never used as a path."""

from functools import lru_cache
from io import BytesIO

from fastapi import FastAPI, HTTPException, Request, Response
from PIL import Image

from core.search.errors import BadRequest
from demo.context import Context
from demo.view import PICTURES

LASTING = "max-age=31536000, immutable"
SIZES = (64,)  # px, beside the stored size


def add_pictures(app: FastAPI, context: Context) -> None:
    library, visitors = context.library, context.visitors

    @lru_cache(maxsize=4096)
    def picture(kind: str, run: str, node: int, px: int | None) -> bytes:
        try:
            data = library.stored(run).image(run, node, PICTURES[kind])
        except FileNotFoundError:
            if kind != "t":
                raise
            data = context.decoder.picture(run, node)
        return data if px is None else resized(data, px)

    @app.get("/t/{run}/{node}.jpg")
    def preview(request: Request, run: str, node: str, px: str | None = None) -> Response:
        return answer(request, "t", run, node, px)

    @app.get("/l/{run}/{node}.jpg")
    def look(request: Request, run: str, node: str, px: str | None = None) -> Response:
        return answer(request, "l", run, node, px)

    @app.get("/f/{run}/{node}.jpg")
    def final(request: Request, run: str, node: str, px: str | None = None) -> Response:
        return answer(request, "f", run, node, px)

    def answer(request: Request, kind: str, run: str, node: str, px: str | None) -> Response:
        try:
            wanted = _checked(kind, run, node, px)
            library.find(run, visitors.of(request))
            headers = {"Cache-Control": f"{library.audience(run)}, {LASTING}", "X-Content-Type-Options": "nosniff"}
            return Response(picture(*wanted), media_type="image/jpeg", headers=headers)
        except (BadRequest, FileNotFoundError):
            raise HTTPException(404, "no such picture", headers={"Cache-Control": "no-store"}) from None


def _checked(kind: str, run: str, node: str, px: str | None) -> tuple[str, str, int, int | None]:
    if kind not in PICTURES or not (node.isascii() and node.isdigit() and len(node) < 8):
        raise BadRequest("no such picture")
    if px is not None and px not in map(str, SIZES):
        raise BadRequest("no such size")
    return kind, run, int(node), int(px) if px else None


def resized(jpeg: bytes, px: int) -> bytes:
    """A square JPEG of `px` pixels."""
    out = BytesIO()
    Image.open(BytesIO(jpeg)).convert("RGB").resize((px, px), Image.Resampling.LANCZOS).save(out, "JPEG", quality=85)
    return out.getvalue()
