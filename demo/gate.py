"""What every request passes before anything else: a password, if the server has one, and a limit on what is sent."""

import base64
import binascii
import secrets
from collections.abc import Callable
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.limits import Buckets, Rate
from demo.strings import BODY_TOO_LARGE, PASSWORD_NEEDED, PASSWORD_TRIES

KIBI = 1024
USUAL_BODY = 256 * KIBI                       # bytes; the largest question of a page has a few thousand
BODIES = {"/data/import": 64 * KIBI * KIBI}   # a saved run
GUESSES = Rate(burst=10, seconds=10)          # wrong passwords of one address


class PasswordMiddleware:
    """HTTP Basic over everything, whatever the user name. Wrong ones are few a minute."""

    def __init__(self, app: ASGIApp, password: str):
        self.app, self._password, self._guesses = app, password.encode(), Buckets(GUESSES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        given = _given(Headers(scope=scope).get("authorization", ""))
        address = str((scope.get("client") or ("",))[0])
        if given is not None and self._guesses.wait(address) > 0:
            return await refuse(scope, receive, send, HTTPStatus.TOO_MANY_REQUESTS, PASSWORD_TRIES)
        if given is not None and secrets.compare_digest(given, self._password):
            return await self.app(scope, receive, send)
        if given is not None:
            self._guesses.take(address)
        headers = {"WWW-Authenticate": 'Basic realm="Beamscope", charset="UTF-8"'}
        await refuse(scope, receive, send, HTTPStatus.UNAUTHORIZED, PASSWORD_NEEDED, headers)


def _given(header: str) -> bytes | None:
    """The password of a Basic header, None where there is none."""
    scheme, _, code = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(code, validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""


class BodyMiddleware:
    """Refuses what is longer than its address takes, before it is all here."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        most = BODIES.get(scope["path"], USUAL_BODY)
        length = Headers(scope=scope).get("content-length", "0")
        if not length.isdigit() or len(length) > 15 or int(length) > most:
            sentence = BODY_TOO_LARGE.format(most=f"{most // KIBI} KiB")
            return await refuse(scope, receive, send, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, sentence)
        await self.app(scope, _counted(receive, most), send)


def _counted(receive: Receive, most: int) -> Callable:
    """`receive` that ends the request where more comes than was announced."""
    came = 0

    async def counted() -> Message:
        nonlocal came
        message = await receive()
        came += len(message.get("body", b""))
        return {"type": "http.disconnect"} if came > most else message

    return counted


async def refuse(
    scope: Scope, receive: Receive, send: Send, status: int, sentence: str, headers: dict[str, str] | None = None
) -> None:
    if scope["type"] == "websocket":
        await receive()
        return await send({"type": "websocket.close", "code": 1008})
    await JSONResponse({"error": sentence}, status, {"Cache-Control": "no-store", **(headers or {})})(
        scope, receive, send
    )
