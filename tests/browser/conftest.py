"""A server of the painted world and Chromium. Where Chromium is missing these tests fail; they never skip."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from core.store.runs import RunStore

ROOT = Path(__file__).parents[2]
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(address: str, server: subprocess.Popen, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert server.poll() is None, f"the server ended with {server.returncode}"
        try:
            urllib.request.urlopen(address, timeout=2)
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{address} did not answer in {seconds} s")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Where the server keeps its runs."""
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="session")
def address(folder):
    """Where the page is: a server of its own, with 0.3 s for every scale."""
    port = free_port()
    command = [sys.executable, "-m", "tests.browser.serve", str(port), str(folder / "runs"), str(folder / "rec"), ".3"]
    server = subprocess.Popen(command, cwd=ROOT)
    try:
        wait_for(f"http://127.0.0.1:{port}/readyz", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=15)


@pytest.fixture(scope="session")
def resumed_run(address, folder):
    """The id of a recorded run that goes on from a node of another."""
    infos = RunStore(folder / "rec").list()
    return next(info.run for info in infos if info.parent)


@pytest.fixture(scope="module")  # its event loop must be gone before other tests run theirs
def browser():
    assert Path(CHROMIUM).exists(), f"no Chromium at {CHROMIUM}: apt-get install chromium, or set CHROMIUM"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def contexts(browser):
    """Browser contexts by their options, shared between tests so that scripts are compiled once."""
    return {}


@pytest.fixture
def open_page(browser, contexts):
    """open_page(address, width, height, ready, **context) -> Page, without motion, once `ready` is there.

    Script errors and foreign requests fail.
    """
    pages, wrong = [], []

    def opened(address: str, width: int = 1440, height: int = 900, ready: str = ".bs-plot", **options) -> Page:
        options = {"reduced_motion": "reduce"} | options
        if str(options) not in contexts:
            contexts[str(options)] = browser.new_context(**options)
        pages.append(page := contexts[str(options)].new_page())
        page.set_viewport_size({"width": width, "height": height})
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: wrong.append(f"script error: {error}"))
        page.on("request", lambda request: _check_local(request.url, wrong))
        page.goto(address)
        page.wait_for_selector(ready)
        return page

    yield opened
    for page in pages:
        page.close()
    assert not wrong


def _check_local(url: str, wrong: list[str]) -> None:
    if not url.startswith(("http://127.0.0.1:", "data:", "blob:", "file:")):
        wrong.append(f"request to {url}")
