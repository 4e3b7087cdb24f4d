"""The page's scripts are asked for together with the page: the browser need not find them one after the other.

Told in the `Link` header of the page, since Gradio writes its HTML.
"""

import re
from functools import lru_cache

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.theme import STATIC

IMPORT = re.compile(r'from "(?:\./|/page/)([\w.]+\.js)"')
MODULES = ("stage.js", "notice.js")  # that the page mounts
LIBRARY = "plotly.min.js"
PATIENT = "fetchpriority=low"  # else they would hold up what Gradio begins with


class PreloadMiddleware:
    """Adds the header to every answer for the page at the root."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def told(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                message = {**message, "headers": [*message["headers"], (b"link", links().encode())]}
            await send(message)

        of_page = scope["type"] == "http" and scope["path"] == "/"
        await self.app(scope, receive, told if of_page else send)


@lru_cache(maxsize=1)
def links() -> str:
    """The value of the header."""
    modules = (f"</page/{name}>; rel=modulepreload; {PATIENT}" for name in needed(MODULES))
    return ", ".join([f"</page/{LIBRARY}>; rel=preload; as=script; {PATIENT}", *modules])


def needed(names: tuple[str, ...]) -> list[str]:
    """The modules and all that they import, in the order in which they are found."""
    found = dict.fromkeys(names)
    waiting = list(names)
    while waiting:
        path = STATIC / waiting.pop()
        for name in IMPORT.findall(path.read_text()) if path.exists() else ():  # strings.js is made by the server
            if name not in found:
                found[name] = None
                waiting.append(name)
    return list(found)
