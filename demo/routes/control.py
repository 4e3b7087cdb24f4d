"""What a visitor does to a search of their own while it runs: pause, step, stop; choose, pin and forbid."""

from typing import Any

from fastapi import FastAPI, Request

from demo.context import Context
from demo.routes.reply import read_body


def add_control(app: FastAPI, context: Context) -> None:
    """Every answer is {"state": what the run does now}, as demo/jobs.py says."""
    runner = context.runner

    @app.post("/data/control")
    async def control(request: Request) -> dict[str, Any]:
        run, body = await own(request, "action")
        return {"state": runner.control(run, body["action"])}

    @app.post("/data/choose")
    async def choose(request: Request) -> dict[str, Any]:
        """`keep`: ids, best first; null leaves the choice to the verifier, and all later ones too with `rest`."""
        run, body = await own(request, "keep")
        if body["keep"] is None and body.get("rest") is True:
            return {"state": runner.leave(run)}
        return {"state": runner.choose(run, body["keep"], body.get("asked"))}

    @app.post("/data/steer")
    async def steer(request: Request) -> dict[str, Any]:
        run, body = await own(request, "node", "action")
        return {"state": runner.steer(run, body["node"], body["action"])}

    async def own(request: Request, *names: str) -> tuple[str, dict[str, Any]]:
        """The visitor's own run, and what was posted. Raises as `require_owner` and `read_body` do."""
        body = await read_body(request, "run", *names)
        context.library.require_owner(body["run"], context.visitors.of(request))
        return body["run"], body
