"""How the routes answer: data as JSON, and what cannot be done as {"error": sentence} with a status of its own."""

import json
import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from core.search.errors import BadRequest, BeamscopeError
from demo import strings
from demo.context import Context

log = logging.getLogger(__name__)
FRESH = {"Cache-Control": "no-store"}


def add_errors(app: FastAPI, _context: Context) -> None:
    """Turn errors of all routes into sentences. Only the log hears of what nobody foresaw."""
    @app.exception_handler(BeamscopeError)
    async def refused(_request: Request, error: BeamscopeError) -> JSONResponse:
        return refusal(strings.sentence(str(error)), getattr(error, "status", 400))

    @app.exception_handler(RequestValidationError)
    async def misunderstood(_request: Request, _error: RequestValidationError) -> JSONResponse:
        return refusal(strings.BAD_REQUEST, 400)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        log.error("a request for %s failed", request.url.path, exc_info=error)
        return refusal(strings.UNEXPECTED, 500)


def refusal(sentence: str, status: int) -> JSONResponse:
    return JSONResponse({"error": sentence}, status, headers=FRESH)


async def read_body(request: Request, *names: str) -> dict[str, Any]:
    """The JSON object that a page posted. Raises BadRequest unless it is one and holds all `names`."""
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict) or not set(names) <= set(body):
        raise BadRequest(strings.BAD_REQUEST)
    return body
