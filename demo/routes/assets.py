"""The page's scripts and the drawing library, all from this server."""

import gzip
import importlib.util
from functools import lru_cache
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse

from demo import script_strings
from demo.context import Context
from demo.theme import STATIC

SCRIPTS = frozenset(path.name for path in STATIC.glob("*.js"))


def add_assets(app: FastAPI, _context: Context) -> None:
    @app.get("/page/plotly.min.js")
    def plotly(request: Request) -> Response:
        packed = "gzip" in request.headers.get("accept-encoding", "")
        headers = {"Cache-Control": "public, max-age=86400"} | ({"Content-Encoding": "gzip"} if packed else {})
        return Response(plotly_js(packed), media_type="text/javascript", headers=headers)

    @app.get("/page/strings.js")
    def words() -> Response:
        return Response(script_strings.script(), media_type="text/javascript", headers={"Cache-Control": "no-cache"})

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
