"""What can be handed out of a run, and the way back: a run.zip or a result that is dropped on the page."""

import tempfile
import threading
from typing import Any, BinaryIO

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from core.search.errors import BadRequest
from core.search.events import RunSpec
from core.search.strategies.registry import STRATEGIES
from core.search.tree import Tree
from core.store.archive import write_archive
from core.store.archive_read import MAX_ARCHIVE, import_run
from core.store.result_png import SIGNATURE, result_png, spec_in
from core.store.runs import RunStore
from demo import links, remote, settings, strings
from demo.context import Context
from demo.replay_page import replay_page
from demo.snippet import snippet
from demo.studio import FILMS, Studio
from demo.visitors import hashed

IN_MEMORY = 2**20   # bytes of an upload; more waits on the disk
FRESH = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def add_exports(app: FastAPI, context: Context) -> None:
    """What can be handed out."""
    studio = Studio(context)

    @app.get("/data/share")
    def share(request: Request, run: str = "") -> dict[str, Any]:
        """The address of a run's settings and a program, if they make it, and the files of it that can be had now."""
        visitor = context.visitors.of(request)
        tree = _tree(context.library.find(run, visitor), run)
        files = [*(["result.png"] if tree.best() else []), "run.zip", "replay.html", *FILMS]
        link = _settings_link(context, tree.spec, _beside(context, run, visitor))
        program = link and snippet(str(request.base_url).rstrip("/"), tree.spec)
        return {"settings": link, "files": files, "snippet": program}

    @app.get("/data/export/run.zip")
    def whole_run(request: Request, run: str = "") -> Response:
        store = context.library.find(run, context.visitors.of(request))
        with tempfile.SpooledTemporaryFile(IN_MEMORY) as file:
            write_archive(store, run, file)
            file.seek(0)
            return _download(file.read(), "application/zip", f"beamscope-{run}.zip")

    @app.get("/data/export/result.png")
    def result(request: Request, run: str = "") -> Response:
        store = context.library.find(run, context.visitors.of(request))
        return _download(result_png(store, run), "image/png", f"beamscope-{run}.png")

    @app.get("/data/export/replay.html")
    def replay(request: Request, run: str = "") -> Response:
        visitor = context.visitors.of(request)
        _tree(context.library.find(run, visitor), run)
        reply = remote.snapshot(context, run, visitor)
        page = replay_page(reply, context.library.shown(run, visitor)[0])
        return _download(page.encode(), "text/html", f"beamscope-{run}.html")

    @app.get("/data/export/replay.mp4")
    def film(request: Request, run: str = "") -> Response:
        return _download(_filmed("replay.mp4", request, run), "video/mp4", f"beamscope-{run}.mp4")

    @app.get("/data/export/replay.webp")
    def animation(request: Request, run: str = "") -> Response:
        return _download(_filmed("replay.webp", request, run), "image/webp", f"beamscope-{run}.webp")

    @app.get("/data/export/replay.gif")
    def small(request: Request, run: str = "") -> Response:
        return _download(_filmed("replay.gif", request, run), "image/gif", f"beamscope-{run}.gif")

    def _filmed(name: str, request: Request, run: str) -> bytes:
        visitor = context.visitors.of(request)
        _tree(context.library.find(run, visitor), run)
        return studio.film(name, run, visitor)


def add_imports(app: FastAPI, context: Context) -> None:
    """The way back."""
    one_at_a_time = threading.Lock()

    @app.post("/data/import")
    async def opened(request: Request) -> dict[str, str]:
        """A file as the body: a run.zip, run.json or events.jsonl is kept as a run of this visitor, a result
        gives back its settings."""
        with tempfile.SpooledTemporaryFile(IN_MEMORY) as file:
            await _receive(request, file)
            return await run_in_threadpool(_open, file, request)

    def _open(file: BinaryIO, request: Request) -> dict[str, str]:
        file.seek(0)
        first = file.read(len(SIGNATURE))
        file.seek(0)
        if first == SIGNATURE:
            return {"href": f"/?{links.query_of(context.models, spec_in(file.read()))}"}
        visitor = context.visitors.admit(request)   # a run that is kept counts as one that is started
        with one_at_a_time:   # each may need some hundred megabytes
            run = import_run(context.store, file, {"owner": hashed(visitor), "private": False})
        return {"run": run, "href": f"/?run={run}"}


def _beside(context: Context, run: str, visitor: str) -> str:
    """The strategy of the run beside it, "off" for none; as usual where the page does not offer that."""
    _first, *others = context.library.lanes(run, visitor)
    spec = Tree.of(others[0].store.load(others[0].run)).spec if others else None
    baseline = settings.baseline_of(context.models, spec)
    return baseline if baseline in (settings.NO_BASELINE, *settings.baselines(context.models)) else settings.BASELINE


def _settings_link(context: Context, spec: RunSpec, beside: str) -> str | None:
    """None where settings alone do not give the run again: it goes on from a node, or its strategy is not here."""
    if spec.origin or spec.strategy not in STRATEGIES:
        return None
    return f"/?{links.query_of(context.models, spec, beside)}"


def _tree(store: RunStore, run: str) -> Tree:
    tree = Tree.of(store.load(run))
    if tree.spec is None:
        raise BadRequest(strings.NOTHING_TO_SHARE)
    return tree


def _download(data: bytes, media_type: str, name: str) -> Response:
    return Response(data, media_type=media_type, headers={
        **FRESH, "Content-Disposition": f'attachment; filename="{name}"'})


async def _receive(request: Request, file: BinaryIO) -> None:
    """Take the body in, as long as it is no larger than a run.zip may be."""
    size, too_large = 0, BadRequest(strings.UPLOAD_TOO_LARGE.format(limit=MAX_ARCHIVE // 2**20))
    try:
        async for part in request.stream():
            size += len(part)
            if size > MAX_ARCHIVE:
                raise too_large
            file.write(part)
    except ClientDisconnect:   # gone, or cut off at the gate: it had announced less than it sent
        raise too_large from None
    if not size:
        raise BadRequest(strings.EMPTY_UPLOAD)
