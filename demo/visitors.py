"""Who is asking: a random id in a cookie, given by one middleware to every page, route and event of the server.

The id is a secret of the visitor's browser; runs keep only its hash. Nobody has to sign in. A program that keeps no
cookies is a new visitor at every call; how much it may do is counted by its address instead.
"""

import hashlib
import hmac
import math
import re
import secrets
import threading
from http.cookies import CookieError, SimpleCookie
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.limits import Buckets, Rate
from demo.refusals import TooSoon
from demo.strings import TOO_SOON

COOKIE = "beamscope"
VISITOR = re.compile(r"[0-9a-f]{32}")
TOOLS = "/gradio_api/mcp"
FORWARDED = b"x-forwarded-for"
YEAR = 365 * 24 * 3600   # seconds
PER_VISITOR = Rate(burst=10, seconds=6)
PER_ADDRESS = Rate(burst=60, seconds=1)


def hashed(visitor: str) -> str:
    """What a run keeps of its visitor: enough to know them again, not enough to be them."""
    return hashlib.sha256(visitor.encode()).hexdigest()[:32] if visitor else ""


class Visitors:
    """Knows the visitor behind a request, and how fast each starts searches.

    A cookie can be thrown away, so all visitors of one address share a larger bucket.
    """

    def __init__(self, visitor: Rate = PER_VISITOR, address: Rate = PER_ADDRESS):
        self._visitors, self._addresses = Buckets(visitor), Buckets(address)
        self._lock = threading.Lock()
        self._secret = secrets.token_bytes(32)   # so that nobody can tell an address from its hash

    def of(self, request: Any) -> str:
        """The id behind a request of a route or of Gradio; "" where the middleware did not see it."""
        return _scope(request).get("visitor", "")

    def account(self, request: Any) -> str:
        """On whose account a request is: the visitor's, or their address's where they came without a cookie.

        Only for counting: to whom a run belongs is said by `of`, since an address may be that of many.
        """
        if not _scope(request).get("stranger"):
            return hashed(self.of(request))
        return hmac.new(self._secret, _address(request).encode(), hashlib.sha256).hexdigest()[:32]

    def admit(self, request: Any, cost: int = 1) -> str:
        """The visitor behind a request to start a search, if they may now. Raises TooSoon, which says when."""
        visitor, address = self.of(request), _address(request)
        accounts = {hashed(visitor), self.account(request)}
        with self._lock:
            waits = [self._visitors.wait(account, cost) for account in accounts]
            seconds = max(*waits, self._addresses.wait(address, cost))
            if seconds > 0:
                raise TooSoon(TOO_SOON.format(seconds=math.ceil(seconds)))
            for account in accounts:
                self._visitors.take(account, cost)
            self._addresses.take(address, cost)
        return visitor


def _scope(request: Any) -> dict[str, Any]:
    """Of a request of a route or of Gradio; empty for anything else."""
    inner = getattr(request, "request", None) or request
    return getattr(inner, "scope", {})


def _address(request: Any) -> str:
    """Where a request comes from. A proxy in front has to be trusted with uvicorn's FORWARDED_ALLOW_IPS."""
    client = _scope(request).get("client")
    return str(client[0]) if client else ""


class VisitorMiddleware:
    """Gives every visitor an id and every request its visitor."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        known = _known(Headers(scope=scope).get("cookie", ""))
        if scope["path"].startswith(TOOLS):
            scope["headers"] = _forwarding(scope)
        scope["visitor"], scope["stranger"] = known or secrets.token_hex(16), known is None

        async def introduced(message: Message) -> None:
            if message["type"] == "http.response.start" and not known:
                _introduce(MutableHeaders(scope=message), scope)
            await send(message)

        await self.app(scope, receive, introduced)


def _forwarding(scope: Scope) -> list[tuple[bytes, bytes]]:
    """The headers of a request for a tool, with who really sent it: Gradio calls the page's API from this very machine
    and hands them on.
    """
    others = [(name, value) for name, value in scope["headers"] if name.lower() != FORWARDED]
    return [*others, (FORWARDED, str((scope.get("client") or ("",))[0]).encode())]


def _known(header: str) -> str | None:
    """The id that the browser sent, if it is one."""
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return None
    return found.value if found and VISITOR.fullmatch(found.value) else None


def _introduce(headers: MutableHeaders, scope: Scope) -> None:
    """Send the cookie along, except with what others may be shown from a cache."""
    if not headers.get("cache-control", "").startswith("public"):
        secure = "; Secure" if scope.get("scheme") == "https" else ""
        cookie = f"{COOKIE}={scope['visitor']}; Path=/; Max-Age={YEAR}; HttpOnly; SameSite=Lax{secure}"
        headers.append("set-cookie", cookie)
