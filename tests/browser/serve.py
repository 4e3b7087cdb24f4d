"""Serve the page over the painted world: `python -m tests.browser.serve PORT RUNS RECORDED PAUSE`.

Records into RECORDED first, if the folder is not there: one comparison, a run that goes on from a pruned node of it,
and two that memory was too small for; and into RUNS a comparison that was repeated with all seeds but one.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

import uvicorn

from core.resume import resumed
from core.search.events import RunSpec
from core.store.runs import RunStore
from demo.jobs import compute, create
from demo.lessons import LESSONS
from demo.limits import Rate
from demo.models import Models
from demo.record import record
from demo.series import SERIES
from demo.server import build_app
from demo.settings import plan
from demo.visitors import Visitors
from tests.painted import painted_models, with_strangers

REPEATED = "two dogs"
NARROW = "a large dog"  # memory was too small for this recorded run, which began anew and narrower
SHORT = "a very large dog"  # and for this one, which a person steered: it ended
LOST = 40  # a node of the third scale, pruned
PROMPT = "a red car to the left of a green apple"


def hungry(models: Models) -> Models:
    """The same models, the painter with memory for fewer than fifteen candidates of its fifth scale in a search."""
    painter = models.generator("painter")
    begin, whole, made = painter.start, painter.step, [0]

    def start(prompt):
        made[0] = 0
        return begin(prompt)

    def step(states, seeds):
        made[0] += len(states) if len(states[0]) == 4 else 0
        if made[0] > 10:
            raise MemoryError("15 candidates are too many")
        return whole(states, seeds)

    painter.start, painter.step = start, step
    return models


def repeat(models: Models, store: RunStore) -> None:
    """A comparison and its repeats with six of seven more seeds, as a server before this one left them."""
    spec = RunSpec(REPEATED, "painter", "beam_search", {"width": 2, "branch": 2, "look": "preview"}, "lightness", (), 7,
                   100e9)  # fmt: skip
    first = None
    for seed in range(7, 14):
        specs = plan(models, replace(spec, seed=seed)).specs
        writers = create(store, specs, {SERIES: first} if first else None)
        compute(models, specs, writers)
        for writer in writers:
            writer.close()
        first = first or writers[0].run


def main(port: str, runs: str, recorded: str, pause: str) -> None:
    folder = Path(recorded)
    if not folder.exists():
        spec = RunSpec(PROMPT, "painter", "beam_search", {"width": 3, "branch": 5, "look": "preview"}, "warmth",
                       ("lightness",), 7, 100e9)  # fmt: skip
        store, models = RunStore(folder), painted_models()
        run, _ = record(models, store, spec)
        record(models, store, resumed(store, run, LOST, spec.strategy, spec.params, spec.budget))
        repeat(models, RunStore(Path(runs)))
        narrow = RunSpec(NARROW, "painter", "beam_search", {"width": 3, "branch": 5}, "warmth", (), 7, 100e9)
        for spec in (narrow, replace(narrow, prompt=SHORT, chooser="person")):
            writers = create(store, [spec])
            compute(hungry(models), [spec], writers)
            writers[0].close()
    often = Visitors(Rate(1000, 0.1), Rate(1000, 0.1))  # one browser plays everybody
    os.environ["BEAMSCOPE_MODELS"] = str(folder / "no-models")
    models = with_strangers(painted_models(float(pause)))
    app = build_app(models, RunStore(Path(runs)), [folder, LESSONS], visitors=often)
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning")


if __name__ == "__main__":
    main(*sys.argv[1:])
