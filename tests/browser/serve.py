"""Serve the page over the painted world: `python -m tests.browser.serve PORT RUNS RECORDED PAUSE`.

Records into RECORDED first, if the folder is not there: one comparison, a run that goes on from a pruned node of it,
and one that memory was too small for.
"""

import sys
from pathlib import Path

import uvicorn

from core.resume import resumed
from core.runs import RunStore
from core.search.events import RunSpec
from demo.jobs import compute, create
from demo.lessons import LESSONS
from demo.limits import Rate
from demo.models import Models
from demo.record import record
from demo.server import build_app
from demo.visitors import Visitors
from tests.painted import painted_models

SHORT = "a very large dog"  # memory was too small for this recorded run
LOST = 40  # a node of the third scale, pruned
PROMPT = "a red car to the left of a green apple"


def hungry(models: Models) -> Models:
    """The same models, the painter with memory for fewer than fifteen candidates of its fifth scale."""
    whole = models.generator("painter").step

    def step(states, seeds):
        if len(states[0]) == 4 and len(states) > 10:
            raise MemoryError("15 candidates are too many")
        return whole(states, seeds)

    models.generator("painter").step = step
    return models


def main(port: str, runs: str, recorded: str, pause: str) -> None:
    folder = Path(recorded)
    if not folder.exists():
        spec = RunSpec(PROMPT, "painter", "beam_search", {"width": 3, "branch": 5, "look": "preview"}, "warmth",
                       ("lightness",), 7, 100e9)  # fmt: skip
        store, models = RunStore(folder), painted_models()
        run, _ = record(models, store, spec)
        record(models, store, resumed(store, run, LOST, spec.strategy, spec.params, spec.budget))
        short = RunSpec(SHORT, "painter", "beam_search", {"width": 3, "branch": 5}, "warmth", (), 7, 100e9)
        writers = create(store, [short])
        compute(hungry(models), [short], writers)
        writers[0].close()
    often = Visitors(Rate(1000, 0.1), Rate(1000, 0.1))  # one browser plays everybody
    app = build_app(painted_models(float(pause)), RunStore(Path(runs)), [folder, LESSONS], visitors=often)
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning")


if __name__ == "__main__":
    main(*sys.argv[1:])
