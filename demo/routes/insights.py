"""Going on from a node, and what all stored runs together say."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool

from core.search.errors import BadRequest
from demo import resuming, strings
from demo.context import Context
from demo.insights import Insights
from demo.launch import launch, require_models
from demo.routes.reply import read_body


def add_insights(app: FastAPI, context: Context) -> None:
    insights = Insights(context.library)

    @app.get("/data/resume")
    def offer(request: Request, run: str = "", node: str = "", strategy: str | None = None,
              budget: str | None = None) -> dict[str, Any]:
        require_models(context.models)
        asked = {"run": run, "node": _whole(node), "strategy": strategy, "budget": _real(budget)}
        return resuming.offer(context, asked, context.visitors.of(request))

    @app.post("/data/resume")
    async def resume(request: Request) -> dict[str, Any]:
        asked = await read_body(request, "run", "node")
        return await run_in_threadpool(_begin, request, asked)

    def _begin(request: Request, asked: dict[str, Any]) -> dict[str, Any]:
        require_models(context.models)
        plan = resuming.resume_plan(context, asked, context.visitors.of(request))
        private = context.library.audience(asked["run"]) == "private"   # its prompt is not for others either
        return {"run": launch(context, plan, request, private)}

    @app.get("/data/reliability")
    def reliability(request: Request, run: str = "") -> dict[str, Any]:
        return insights.reliability(run, context.visitors.of(request))

    @app.get("/data/regret")
    def regrets(request: Request) -> dict[str, Any]:
        return insights.regrets(context.visitors.of(request))


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 8):
        raise BadRequest(strings.BAD_NODE)
    return int(text)


def _real(text: str | None) -> float | str | None:
    """A number as it was typed; what is none goes on as it is, to be refused in words."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text
