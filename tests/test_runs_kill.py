"""kill -9 of a running search at 50 moments: what it had acknowledged is there and opens, nothing else is claimed."""

import io
import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from PIL import Image

from core.search.events import Improved, WithImages
from core.search.search import Search
from core.store.runs import RunStore
from tests.test_search import log_of, spec_of, verifiers
from tests.toy import ToyGenerator

ROOT = Path(__file__).parents[1]
KILLS = 50
SEARCH = """
import json, sys
import PIL.JpegImagePlugin, PIL.PngImagePlugin
from core.store.runs import RunStore
from core.search.events import RunSpec
from core.search.search import Search
from tests.toy import Brightness, Closeness, ToyGenerator

spec = RunSpec.from_json(json.loads(sys.argv[2]))
verifiers = {verifier.name: verifier for verifier in (Closeness(), Brightness())}
print("ready", flush=True)
with RunStore(sys.argv[1]).create(spec) as writer:
    print(writer.run, flush=True)
    for event in Search(ToyGenerator(), verifiers, spec).run():
        writer.append(event)
        print(event.seq, flush=True)
print("end", flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Kill:
    said: tuple[str, ...]    # the run, the events it acknowledged, "end", as far as it came
    code: int


def spec():
    return spec_of("beam_search", {"look": "rollout", "width": 5, "branch": 8})   # a tenth of a second and more


def searching(root):
    """A process that searches and stores; it has said "ready", its imports are done."""
    command = [sys.executable, "-c", SEARCH, str(root), json.dumps(spec().to_json())]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def killed(root, lines=0, seconds=0.0):
    """Kill one when it has said so many lines and so many seconds have gone by."""
    with searching(root) as process:
        said = [process.stdout.readline() for _ in range(lines)]
        time.sleep(seconds)
        process.kill()
        said += process.stdout.readlines()
    return Kill(tuple(line.strip() for line in said if line.endswith("\n")), process.returncode)


@pytest.fixture(scope="module")
def live():
    return list(Search(ToyGenerator(), verifiers(), spec()).run())


@pytest.fixture(scope="module")
def world(tmp_path_factory, live):
    """The store and 50 kills: half after lines from none to the last, half after a random time."""
    root, random = tmp_path_factory.mktemp("killed"), Random(50)
    with searching(root) as process:
        began = time.perf_counter()
        while process.stdout.readline() != "end\n":
            pass
        whole = time.perf_counter() - began
        process.kill()
    moments = [{"lines": i % (len(live) + 3)} for i in range(KILLS // 2)]   # also its name, and "end"
    moments += [{"seconds": random.uniform(0, 1.3 * whole)} for _ in range(KILLS - KILLS // 2)]
    with ThreadPoolExecutor(3) as pool:
        kills = list(pool.map(lambda moment: killed(root, **moment), moments))
    return RunStore(root), kills


def test_fifty_processes_were_killed_from_the_first_line_to_the_last(world, live):
    store, kills = world
    assert [kill.code for kill in kills] == [-signal.SIGKILL] * KILLS
    events = [len(store.load(kill.said[0])) for kill in kills if kill.said]
    assert len(set(events)) > 5 and sum(0 < count < len(live) for count in events) > 10
    assert any(kill.said[-1:] == ("end",) for kill in kills)


def test_every_acknowledged_event_is_there_as_it_was(world, live):
    store, kills = world
    for run, *acknowledged in (kill.said for kill in kills if kill.said):
        events = store.load(run)
        assert log_of(events) == log_of(live)[:len(events)]
        assert len(events) >= len([line for line in acknowledged if line != "end"])


def test_every_run_is_whole_whoever_knows_of_it(world, live):
    """Also those whose process died before it could say their names."""
    store, kills = world
    runs = {info.run for info in store.list()}
    assert runs >= {kill.said[0] for kill in kills if kill.said}
    for run in runs:
        events = store.load(run)
        assert log_of(events) == log_of(live)[:len(events)]
        for event in events:
            for node in event.images if isinstance(event, WithImages) else ():
                Image.open(io.BytesIO(store.image(run, node, event.image_kind))).load()
            if isinstance(event, Improved):
                Image.open(store.best_image(run, event.node)).load()


def test_the_status_says_whether_the_end_is_there(world, live):
    store, _ = world
    infos = store.list()
    assert {info.status for info in infos} == {"finished", "interrupted"}
    for info in infos:
        assert (info.status == "finished") == (len(store.load(info.run)) == len(live))


def test_the_writer_of_a_killed_process_is_known_to_be_gone(tmp_path):
    """The lock alone tells: the same log reads as running while the process lives and as interrupted after."""
    script = SEARCH.split("    for event")[0] + "    sys.stdin.read()"
    command = [sys.executable, "-c", script, str(tmp_path), json.dumps(spec().to_json())]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        _, run, store = process.stdout.readline(), process.stdout.readline().strip(), RunStore(tmp_path)
        assert store.status(run) == "running"
        process.kill()
    assert store.status(run) == "interrupted" and store.load(run) == []
