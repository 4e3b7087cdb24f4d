"""A public address for the running server, through the relay that Gradio keeps for its own share links."""

import secrets
import threading
import time

from gradio.networking import setup_tunnel

WAIT = 3  # seconds for the server to listen before the relay looks for it


def open_tunnel(port: int) -> None:
    """Open the tunnel in the background and print its address; the page's own addresses work through it too."""
    threading.Thread(target=_open, args=(port,), name="share", daemon=True).start()


def _open(port: int) -> None:
    time.sleep(WAIT)
    try:
        print("Public address:", setup_tunnel("127.0.0.1", port, secrets.token_urlsafe(32), None, None), flush=True)
    except Exception as error:
        print(f"No public address: {error}. The local address works.", flush=True)
