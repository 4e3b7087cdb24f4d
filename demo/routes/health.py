"""Whether the server lives, and whether it can start a search, or how long that will take."""

from typing import Any

from fastapi import FastAPI, Response

from demo import strings
from demo.context import Context


def add_health(app: FastAPI, context: Context) -> None:
    models = context.models

    @app.api_route("/healthz", methods=["GET", "HEAD"])
    def healthz() -> dict[str, bool]:
        return {"ok": True}

    @app.api_route("/readyz", methods=["GET", "HEAD"])
    def readyz(response: Response) -> dict[str, bool]:
        ready = models.ready.is_set() and models.problem is None
        response.status_code = 200 if ready else 503
        return {"ready": ready}

    @app.get("/data/models")
    def loading() -> dict[str, Any]:
        """How far the models are loaded, for pages that wait for them."""
        found = models.progress()
        names = strings.GENERATOR_NAMES | strings.VERIFIER_NAMES
        return found | {
            "loading": found["loading"] and strings.name_of(names, found["loading"]),
            "problem": found["problem"] and strings.sentence(found["problem"]),
        }
