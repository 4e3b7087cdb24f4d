"""Measure the page's budgets in Chromium: `python -m tests.browser.budgets [OUT]` writes assets/results/budgets.json.

Server and browser share two cores. The painted world answers at once, so what is measured is the page and its server,
not a model. Each figure stands beside its limit; the machine's load is told, since a busy one measures itself.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from core.search.events import RunSpec
from core.search.search import Search
from core.store.runs import RunStore
from tests.browser.conftest import CHROMIUM, FLAGS, ROOT, free_port, wait_for
from tests.browser.test_page import AT_NODE, NODES
from tests.painted import SCALES_ABILITIES, Painter, painted_models

OUT = ROOT / "assets" / "results" / "budgets.json"
LIMITS = {
    "page_interactive_s": 4.0, "first_node_s": 1.0, "frame_at_200_nodes_ms": 700, "click_to_inspector_ms": 500,
    "streamed_kB_per_200_nodes": 60, "open_3000_nodes_s": 3.0, "foreign_requests": 0,
}  # fmt: skip
ROUNDS = 3
SCALES = 13  # of the large run: 16 wide, 16 children each
PAUSE = 0.4  # seconds for every scale
WATCH_FRAMES = """() => {
  window.drawn = [];
  let since = null;
  beamscope.on("frame", () => { since ??= performance.now(); });
  document.querySelector(".bs-plot").on("plotly_afterplot", () => {
    if (since === null) return;
    const nodes = beamscope.comparison.lanes.reduce((sum, lane) => sum + lane.rows.size, 0);
    drawn.push([nodes, performance.now() - since]);
    since = null;
  });
}"""
INSPECTED = "(id) => document.querySelector('.bs-inspector h2').textContent.startsWith(`Node ${id} `)"


def main(out: str = str(OUT)) -> None:
    cores = sorted(os.sched_getaffinity(0))[:2]
    os.sched_setaffinity(0, cores)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        big, nodes = _store_big(RunStore(folder / "runs"))
        port = free_port()
        command = [sys.executable, "-m", "tests.browser.serve", port, folder / "runs", folder / "rec", PAUSE]
        server = subprocess.Popen([str(part) for part in command], cwd=ROOT)
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(f"{address}/readyz", server, 180)
            found = _measure(address, big)
        finally:
            server.terminate()
            server.wait(timeout=15)
    table = {
        name: {"measured": found[name], "limit": limit, "met": found[name] <= limit} for name, limit in LIMITS.items()
    }  # fmt: skip
    note = {"cores": len(cores), "load_average": round(os.getloadavg()[0], 1), "stored_nodes": nodes, "rounds": ROUNDS}
    Path(out).write_text(json.dumps({"budgets": table, "machine": note}, indent=1) + "\n", "utf-8")
    print(json.dumps(table, indent=1), note)


def _store_big(store: RunStore) -> tuple[str, int]:
    """A finished run of some 3,000 nodes; its id and their number."""
    models, deep = painted_models(), Painter("deep", SCALES)
    deep.branching_steps, deep.abilities = frozenset(range(SCALES)), SCALES_ABILITIES
    params = {"width": 16, "branch": 16, "look": "preview"}
    spec = RunSpec("a red car", "painter", "beam_search", params, "warmth", (), 7)
    run = Search(deep, models.verifiers_of(spec), spec)
    writer = store.create(spec)
    for event in run.run():
        writer.append(event)
    writer.close()
    return writer.run, len(run.tree.nodes)


def _measure(address: str, big: str) -> dict[str, float]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        rounds = [_visit(chromium, address) for _ in range(ROUNDS)]
        opened = [_open(chromium, f"{address}/?run={big}", "beamscope.comparison.lanes[0].rows.size > 3000")
                  for _ in range(ROUNDS)]  # fmt: skip
        chromium.close()
    found = {name: round(statistics.median(each[name] for each in rounds), 2) for name in rounds[0]}
    return found | {"open_3000_nodes_s": round(statistics.median(opened), 2)}


def _fresh(chromium) -> Page:
    page = chromium.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce").new_page()
    page.set_default_timeout(60_000)
    return page


def _open(chromium, url: str, ready: str) -> float:
    """Seconds until a page shows a run, in a browser that knows nothing of it."""
    page = _fresh(chromium)
    began = time.monotonic()
    page.goto(url, wait_until="commit")
    page.wait_for_function(f"window.beamscope && beamscope.comparison && {ready} && ({NODES})() > 0", polling=20)
    seconds = time.monotonic() - began
    page.context.close()
    return seconds


def _visit(chromium, address: str) -> dict[str, float]:
    page = _fresh(chromium)
    foreign, sizes = [], []
    page.on("request", lambda request: _note_foreign(request.url, foreign))
    page.on("response", lambda reply: "/data/frames" in reply.url and sizes.append(reply))
    began = time.monotonic()
    page.goto(address, wait_until="commit")
    ready = "window.beamscope && beamscope.comparison && document.querySelector('#bs-search')"
    page.wait_for_function(f"{ready} && ({NODES})() > 0", polling=20)
    interactive = time.monotonic() - began
    page.evaluate(WATCH_FRAMES)
    sizes.clear()
    first = _first_node(page)
    clicked = _click(page)
    page.wait_for_function("!beamscope.comparison.live")
    nodes = page.evaluate("beamscope.comparison.lanes.reduce((sum, lane) => sum + lane.rows.size, 0)")
    drawn = page.evaluate("drawn")
    streamed = sum(len(reply.body()) for reply in sizes)
    page.context.close()
    return {
        "page_interactive_s": interactive, "first_node_s": first, "click_to_inspector_ms": clicked,
        "frame_at_200_nodes_ms": statistics.median(ms for count, ms in drawn if count >= 0.75 * nodes),
        "streamed_kB_per_200_nodes": streamed / nodes * 200 / 1000, "foreign_requests": len(foreign),
    }  # fmt: skip


def _note_foreign(url: str, foreign: list[str]) -> None:
    if not url.startswith(("http://127.0.0.1:", "data:", "blob:")):
        foreign.append(url)


def _first_node(page: Page) -> float:
    """Seconds from the press of Search to the first node of the new run on screen."""
    before = page.evaluate("beamscope.comparison.run")
    page.fill("#bs-prompt input, #bs-prompt textarea", "a red car")
    page.wait_for_timeout(1500)  # for the hint and the estimate
    began = time.monotonic()
    page.click("#bs-search")
    page.wait_for_function(
        f"beamscope.comparison && beamscope.comparison.run !== '{before}' && ({NODES})() > 0", polling=10)
    return time.monotonic() - began


def _click(page: Page) -> float:
    """Milliseconds from a click on a node to its facts, while the run goes on."""
    page.wait_for_function("beamscope.comparison.lanes[0].rows.size > 20 && beamscope.comparison.live")
    page.wait_for_timeout(200)
    at = page.evaluate(AT_NODE, 1)
    began = time.monotonic()
    page.mouse.click(*at)
    page.wait_for_function("(" + INSPECTED + ")(beamscope.selected)", polling=10)
    return 1000 * (time.monotonic() - began)


if __name__ == "__main__":
    main(*sys.argv[1:])
