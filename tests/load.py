"""Many visitors at once, and many runs one after another: `python -m tests.load` writes assets/results/load.json.

Starts a server of its own with an empty store. First every visitor starts a search in the same
moment and follows it to its end: nobody may see an error or another's run, and everybody's first node is to be there
within 10 s. Then run follows run, and the memory of the server is to stay flat. Minutes on a laptop.
"""

import argparse
import asyncio
import json
import os
import platform
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

OUT = Path(__file__).parents[1] / "assets" / "results" / "load.json"
QUICK = {"width": 2, "branch": 3, "look": "preview"}
SMALL = {"strategy": "random_search", "n": 2, "baseline": "off"}
PROMPTS = ("a red car", "two cats", "a yellow book", "a striped hat and a dog", "four pink hearts")
FIRST_NODE = 10.0    # seconds within which everyone's first node is to be there
GROWTH = 0.05        # of memory over the second half of the runs that is still flat
SAMPLES = 10         # of memory
PATIENCE = 1800.0    # seconds for one search under load


class Visitor:
    """One browser: a cookie of its own, one search, and what it saw of it."""

    def __init__(self, address: str, number: int):
        self.client = httpx.AsyncClient(base_url=address, timeout=120)
        self.prompt, self.seed = PROMPTS[number % len(PROMPTS)], 1000 + number
        self.first_node = self.end = None  # seconds after the click
        self.errors: list[str] = []

    async def search(self, **asked: Any) -> None:
        began, frames = time.monotonic(), []
        reply = await self._json("post", "/data/search", json={"prompt": self.prompt, "seed": self.seed, **asked})
        run = reply.get("run")
        while run and time.monotonic() - began < PATIENCE:
            since = ",".join(map(str, frames))
            reply = await self._json("get", "/data/frames", params={"run": run, "since": since})
            if "error" in reply:
                return
            self._check(reply, run)
            frames = [old + len(lane["frames"]) for old, lane in zip(frames or [0, 0], reply["lanes"], strict=False)]
            nodes = [frame["nodes_total"] for frame in reply["lanes"][0]["frames"]]
            if self.first_node is None and nodes:
                self.first_node = time.monotonic() - began
            if not reply["live"]:
                self.end = time.monotonic() - began
                return

    def _check(self, reply: dict[str, Any], run: str) -> None:
        """That it is this visitor's own run and no other's."""
        head, lanes = reply["head"], reply["lanes"]
        mine = reply["run"] == run == lanes[0]["run"] and reply["own"] and head["prompt"] == self.prompt
        if not mine or head["seed"] not in (None, str(self.seed)):
            self.errors.append(f"run {run} was mixed up")

    async def _json(self, method: str, path: str, **how: Any) -> dict[str, Any]:
        try:
            reply = (await getattr(self.client, method)(path, **how)).json()
        except (httpx.HTTPError, ValueError) as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        if "error" in reply:
            self.errors.append(reply["error"])
        return reply


async def crowd(address: str, count: int, asked: dict[str, Any]) -> dict[str, Any]:
    """Everybody searches in the same moment."""
    visitors = [Visitor(address, number) for number in range(count)]
    for visitor in visitors:
        await visitor.client.get("/healthz")  # brings the cookie
    await asyncio.gather(*(visitor.search(**asked) for visitor in visitors))
    firsts = sorted(visitor.first_node or PATIENCE for visitor in visitors)
    ends = sorted(visitor.end or PATIENCE for visitor in visitors)
    return {
        "visitors": count, "search": asked, "errors": [error for visitor in visitors for error in visitor.errors],
        "first_node_seconds": {"median": statistics.median(firsts), "last": firsts[-1], "allowed": FIRST_NODE},
        "end_seconds": {"first": ends[0], "last": ends[-1]},
    }  # fmt: skip


async def parade(address: str, count: int, pid: int) -> dict[str, Any]:
    """Run after run by one visitor after another; memory after every tenth of them."""
    errors, memory = [], []
    for number in range(count):
        visitor = Visitor(address, number)
        await visitor.client.get("/healthz")
        await visitor.search(**SMALL)
        await visitor.client.aclose()
        errors += visitor.errors
        if (number + 1) % max(1, count // SAMPLES) == 0:
            memory.append(resident_mib(pid))
    middle = memory[len(memory) // 2 - 1] if len(memory) > 1 else memory[0]
    return {"runs": count, "search": SMALL, "errors": errors, "resident_mib": memory,
            "growth_of_second_half": memory[-1] / middle - 1, "allowed_growth": GROWTH}  # fmt: skip


def resident_mib(pid: int) -> float:
    """Memory of a process and of what it started, where the system tells (Linux)."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", text)[1]) / 1024


def measure(visitors: int, runs: int, world: str, asked: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        server = subprocess.Popen([sys.executable, "-m", "tests.load", "--serve", str(port), folder, "--world", world])
        try:
            address = f"http://127.0.0.1:{port}"
            wait_until_ready(address, server)
            found = {"crowd": asyncio.run(crowd(address, visitors, asked))} if visitors else {}
            return found | ({"parade": asyncio.run(parade(address, runs, server.pid))} if runs else {})
        finally:
            server.terminate()
            server.wait(timeout=30)


def wait_until_ready(address: str, server: subprocess.Popen, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if server.poll() is not None:
            raise SystemExit(f"the server ended with {server.returncode}")
        try:
            if httpx.get(f"{address}/readyz", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise SystemExit(f"the server was not ready in {seconds:g} s")


def serve(port: int, folder: Path, world: str) -> None:
    import uvicorn

    from core.store.runs import RunStore
    from demo.embedded import embedded_models
    from demo.limits import Rate
    from demo.server import build_app
    from demo.visitors import Visitors
    from tests.painted import painted_models

    often = Visitors(Rate(1000, 0.01), Rate(10_000, 0.01))  # all visitors come from one address
    models = embedded_models() if world == "embedded" else painted_models()
    uvicorn.run(build_app(models, RunStore(folder), (), visitors=often), port=port, log_level="warning")


def verdict(found: dict[str, Any]) -> list[str]:
    """What is not as it is to be."""
    wrong = [error for part in found.values() for error in part["errors"]]
    if "crowd" in found and found["crowd"]["first_node_seconds"]["last"] > FIRST_NODE:
        wrong.append("somebody's first node took too long")
    if "parade" in found and found["parade"]["growth_of_second_half"] > GROWTH:
        wrong.append("memory grows")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description="Many visitors and many runs.")
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--world", choices=("embedded", "painted"), default="embedded", help="painted: no weights")
    parser.add_argument("--small", action="store_true", help="everybody asks for two images only")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--serve", nargs=2, metavar=("PORT", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(int(args.serve[0]), Path(args.serve[1]), args.world)
        return 0
    found = measure(args.visitors, args.runs, args.world, SMALL if args.small else QUICK)
    wrong = verdict(found)
    machine = {"cores": os.cpu_count(), "load": os.getloadavg()[0], "python": platform.python_version()}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    told = {"machine": machine, "world": args.world, **found, "wrong": wrong}
    args.out.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    print(args.out.read_text("utf-8"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
