"""Repeats of a comparison with other seeds."""

import asyncio
from typing import Any

from fastapi import FastAPI, Request

from demo.context import Context
from demo.routes.reply import read_body
from demo.series import Repeats


def add_series(app: FastAPI, context: Context) -> None:
    repeats = Repeats(context)

    @app.post("/data/repeat")
    async def repeat(request: Request) -> dict[str, Any]:
        body = await read_body(request, "run", "seeds")
        return {"series": await asyncio.to_thread(repeats.begin, body["run"], body["seeds"], request)}

    @app.get("/data/series")
    def series(request: Request, id: str = "") -> dict[str, Any]:
        return repeats.show(id, request)
