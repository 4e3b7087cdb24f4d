"""The web server: the Gradio page, its own routes beside it, and what every request passes first."""

import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import gradio as gr
from fastapi import FastAPI

from core.store.runs import RunStore
from demo.api import speak_json
from demo.context import Context, make_context
from demo.gate import BodyMiddleware, PasswordMiddleware
from demo.layout import build_page
from demo.lessons import LESSONS
from demo.models import Models
from demo.preload import PreloadMiddleware
from demo.routes.assets import add_assets
from demo.routes.control import add_control
from demo.routes.decoding import add_decoding
from demo.routes.exports import add_exports, add_imports
from demo.routes.frames import add_frames
from demo.routes.health import add_health
from demo.routes.insights import add_insights
from demo.routes.pages import add_about, add_gallery, add_lessons, add_pages, add_sheets
from demo.routes.pictures import add_pictures
from demo.routes.reply import add_errors
from demo.routes.search import add_search
from demo.routes.series import add_series
from demo.theme import make_theme, page_css
from demo.visitors import VisitorMiddleware, Visitors

RECORDED = Path(__file__).parents[1] / "assets" / "runs"
HEAD = '<script src="/page/theme.js"></script>'
ROUTES = (
    add_errors,
    add_health,
    add_sheets,
    add_assets,
    add_pictures,
    add_frames,
    add_exports,
    add_imports,
    add_pages,
    add_gallery,
    add_lessons,
    add_about,
    add_control,
    add_insights,
    add_search,
    add_series,
    add_decoding,
)


def build_app(
    models: Models, store: RunStore, recorded: Sequence[Path] = (RECORDED, LESSONS), password: str | None = None,
    visitors: Visitors | None = None,
) -> FastAPI:
    """The whole application. `recorded`: folders of runs that are shown and never written.

    password: asked of everybody, for everything; visitors: who may start how many searches, if not as usual.
    """
    context = make_context(models, store, recorded, visitors)
    app = FastAPI(lifespan=_lifespan(context), docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(PreloadMiddleware)  # the last one added is the first to see a request
    app.add_middleware(VisitorMiddleware)
    app.add_middleware(BodyMiddleware)
    if password:
        app.add_middleware(PasswordMiddleware, password=password)
    for add in ROUTES:
        add(app, context)
    page = build_page(context)
    mounted = gr.mount_gradio_app(
        app, page, path="/", theme=make_theme(), css=page_css(), head=HEAD, ssr_mode=False,
        footer_links=[], run_history=False, allowed_paths=[], show_error=True, mcp_server=True,
    )  # fmt: skip
    speak_json(page.mcp_server_obj)
    return mounted


def _lifespan(context: Context):
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        threading.Thread(target=context.models.warm, name="warm", daemon=True).start()
        yield
        context.runner.close()

    return lifespan
