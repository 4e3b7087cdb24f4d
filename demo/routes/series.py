"""Repeats of a comparison with other seeds."""

import asyncio
from typing import Any

from fastapi import FastAPI, Request

from demo.context import Context
from demo.routes.reply import read_body
from demo.series import Repeats, checked


def add_series(app: FastAPI, context: Context) -> None:
    repeats = Repeats(context)

    @app.post("/data/repeat")
    async def repeat(request: Request) -> dict[str, Any]:
        body = await read_body(request, "run", "seeds")
        return {"series": await asyncio.to_thread(repeats.begin, body["run"], body["seeds"], request)}

    @app.get("/data/series")
    def series(request: Request, id: str = "", seeds: str = "") -> dict[str, Any]:
        """How far the series of a run is; with `seeds` it goes on until it has as many."""
        return repeats.show(id, request, checked(int(seeds) if seeds.isascii() and seeds.isdigit() else seeds or None))
