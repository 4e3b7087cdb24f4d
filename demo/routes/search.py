"""Starting a search as the Search button does, or once more and smaller."""

from typing import Any

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool

from demo import retry
from demo.asked import read_asked
from demo.context import Context
from demo.launch import launch, require_models
from demo.routes.reply import read_body


def add_search(app: FastAPI, context: Context) -> None:
    @app.post("/data/search")
    async def search(request: Request) -> dict[str, Any]:
        """Settings by name, as demo/asked.py reads them; {"run": id}."""
        return await run_in_threadpool(begin, request, await read_body(request, "prompt"))

    @app.post("/data/retry")
    async def smaller(request: Request) -> dict[str, Any]:
        """{"run": id} that ended out of memory; {"run": id} of the smaller one."""
        body = await read_body(request, "run")
        return {"run": await run_in_threadpool(retry.begin, context, body["run"], request)}

    def begin(request: Request, body: dict[str, Any]) -> dict[str, Any]:
        asked = read_asked(context.models, body)
        require_models(context.models)
        return {"run": launch(context, asked.plan(context.models), request, asked.private)}
