"""The web server: the Gradio page, its own files, pictures by immutable address, health.

Every id in an address is looked up, never used as a path.
"""

import gzip
import importlib.util
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import gradio as gr
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse
from PIL import Image

from core.runs import RunStore
from core.search.errors import BadRequest
from demo import strings
from demo.layout import build_page
from demo.models import Models
from demo.streaming import Library, Runner
from demo.theme import STATIC, make_theme, page_css
from demo.view import PICTURES

FOREVER = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
SIZES = (64,)  # px, beside the stored size
SCRIPTS = frozenset(path.name for path in STATIC.glob("*.js"))
RECORDED = Path(__file__).parents[1] / "assets" / "runs"


def build_app(models: Models, store: RunStore, recorded: Sequence[Path] = (RECORDED,)) -> FastAPI:
    """The whole application. `recorded`: folders of runs that are shown and never written."""
    library = Library([store, *(RunStore(path, read_only=True) for path in recorded if path.is_dir())])
    runner = Runner(store, models)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        threading.Thread(target=models.warm, name="warm", daemon=True).start()
        yield
        runner.close()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    _add_health(app, models)
    _add_assets(app)
    _add_pictures(app, library)
    return gr.mount_gradio_app(
        app, build_page(models, library, runner), path="/", theme=make_theme(), css=page_css(), ssr_mode=False,
        footer_links=[], run_history=False, allowed_paths=[], show_error=True,
    )  # fmt: skip


def _add_health(app: FastAPI, models: Models) -> None:
    @app.api_route("/healthz", methods=["GET", "HEAD"])
    def healthz() -> dict[str, bool]:
        return {"ok": True}

    @app.api_route("/readyz", methods=["GET", "HEAD"])
    def readyz(response: Response) -> dict[str, bool]:
        ready = models.ready.is_set() and models.problem is None
        response.status_code = 200 if ready else 503
        return {"ready": ready}


def _add_assets(app: FastAPI) -> None:
    @app.get("/page/plotly.min.js")
    def plotly(request: Request) -> Response:
        packed = "gzip" in request.headers.get("accept-encoding", "")
        headers = {"Cache-Control": "public, max-age=86400"} | ({"Content-Encoding": "gzip"} if packed else {})
        return Response(plotly_js(packed), media_type="text/javascript", headers=headers)

    @app.get("/page/strings.js")
    def words() -> Response:
        return Response(strings.script(), media_type="text/javascript", headers={"Cache-Control": "no-cache"})

    @app.get("/page/{name}")
    def script(name: str) -> Response:
        if name not in SCRIPTS:
            raise HTTPException(404, "no such file")
        return FileResponse(STATIC / name, media_type="text/javascript", headers={"Cache-Control": "no-cache"})


@lru_cache(maxsize=2)
def plotly_js(packed: bool) -> bytes:
    """Plotly's own JavaScript, as the installed wheel brings it."""
    spec = importlib.util.find_spec("plotly")
    data = (Path(spec.origin).parent / "package_data" / "plotly.min.js").read_bytes()
    return gzip.compress(data, 6) if packed else data


def _add_pictures(app: FastAPI, library: Library) -> None:
    @lru_cache(maxsize=4096)
    def picture(kind: str, run: str, node: int, px: int | None) -> bytes:
        data = library.find(run).image(run, node, PICTURES[kind])
        return data if px is None else resized(data, px)

    @app.get("/t/{run}/{node}.jpg")
    def preview(run: str, node: str, px: str | None = None) -> Response:
        return answer("t", run, node, px)

    @app.get("/l/{run}/{node}.jpg")
    def look(run: str, node: str, px: str | None = None) -> Response:
        return answer("l", run, node, px)

    @app.get("/f/{run}/{node}.jpg")
    def final(run: str, node: str, px: str | None = None) -> Response:
        return answer("f", run, node, px)

    def answer(kind: str, run: str, node: str, px: str | None) -> Response:
        try:
            return Response(picture(*_checked(kind, run, node, px)), media_type="image/jpeg", headers=FOREVER)
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
