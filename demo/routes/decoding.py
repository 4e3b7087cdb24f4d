"""A picture of a node that was not decoded, for whoever may see its run."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool

from demo.context import Context
from demo.launch import require_models
from demo.routes.reply import read_body


def add_decoding(app: FastAPI, context: Context) -> None:
    @app.post("/data/decode")
    async def decode(request: Request) -> dict[str, Any]:
        body = await read_body(request, "run", "node")
        return await run_in_threadpool(made, body, context.visitors.of(request))

    def made(body: dict[str, Any], visitor: str) -> dict[str, Any]:
        require_models(context.models)
        return context.decoder.decode(body["run"], body["node"], visitor)
