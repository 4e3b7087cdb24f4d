"""One comparison repeated with other seeds, to see how much of its outcome was luck.

The repeats go on only while somebody asks how far they are: one after the other, so that they never crowd out others.
"""

import threading
from contextlib import suppress
from dataclasses import replace
from typing import Any

from core.search.errors import BadRequest
from demo import bands, settings, strings
from demo.context import Context
from demo.launch import launch, require_models
from demo.remote import lane_label
from demo.streaming import Reader

MOST = 8            # seeds, the first run's own among them
SERIES = "series"   # what the meta of a repeat calls the run that it repeats


class Repeats:
    """The series of this server, by the run that they repeat.

    The runs themselves say to which series they belong, so that a series outlives the server.
    """

    def __init__(self, context: Context):
        self.context = context
        self._known: dict[str, list[str]] | None = None   # repeats by the run that they repeat, oldest first
        self._lock = threading.Lock()

    def begin(self, run: Any, count: Any, request: Any) -> str:
        """Repeat a comparison until there are `count` of it; its id. Raises BadRequest where that is impossible."""
        if checked(count) is None:
            raise BadRequest(strings.BAD_SEEDS.format(count="none", most=MOST))
        visitor = self.context.visitors.of(request)
        lanes = self.context.library.lanes(run, visitor)
        if self._running(lanes) or len(lanes) < 2:
            raise BadRequest(strings.NOT_REPEATED)
        require_models(self.context.models)
        spec = lanes[0].tree.spec
        if spec.origin or spec.chooser == "person":
            raise BadRequest(strings.NOT_REPEATED)
        self._go_on(run, count, request)
        return run

    def show(self, run: Any, request: Any, count: int | None = None) -> dict[str, Any]:
        """How far a series is, the bands of its lanes and what they say; with `count` it goes on until it has as many.

        A run that was not repeated is a series of itself. Raises BadRequest for an unknown run.
        """
        lanes = self.context.library.lanes(run, self.context.visitors.of(request))
        problem = self._try_on(run, count, request) if count else None
        repeats = self._repeats(run, request)
        over = [found for found in (lanes, *repeats.values()) if len(found) == 2 and not self._running(found)]
        return _told(run, count or len(repeats) + 1, over) | {"problem": problem}

    def _try_on(self, run: str, count: int, request: Any) -> str | None:
        try:
            self._go_on(run, count, request)
        except BadRequest as error:  # too soon, or the line is full: the next question tries again
            return strings.sentence(str(error))
        return None

    def _go_on(self, run: str, count: int, request: Any) -> None:
        """Start the next repeat if none is running and seeds are missing."""
        with self._lock:
            library = self.context.library
            repeats = self._repeats(run, request)
            if any(self._running(lanes) for lanes in repeats.values()):
                return
            specs = [lane.tree_now().spec for lane in library.lanes(run, self.context.visitors.of(request))]
            if len(specs) < 2 or None in specs:
                return
            spec, beside = specs
            wanted = [(spec.seed + number) % settings.SEEDS for number in range(1, min(count, MOST))]
            missing = [seed for seed in wanted if seed not in repeats]
            if missing:
                against = settings.baseline_of(self.context.models, beside)
                plan = settings.plan(self.context.models, replace(spec, seed=missing[0]), against)
                private = library.audience(run) == "private"
                self._index().setdefault(run, []).append(
                    launch(self.context, plan, request, private, marks={SERIES: run}))

    def _repeats(self, run: str, request: Any) -> dict[int, list[Reader]]:
        """The lanes of all repeats that are here and whole or still running, by seed."""
        visitor, found = self.context.visitors.of(request), {}
        for repeat in self._index().get(run, []):
            try:
                lanes = self.context.library.lanes(repeat, visitor)
                broken = any(lane.store.status(lane.run) == "interrupted" for lane in lanes)
            except BadRequest:   # it was deleted, or is not for this visitor
                continue
            if not broken:
                running = lanes[0].tree_now().spec is None   # nothing of it is known but that it waits
                found[-1 if running else lanes[0].tree.spec.seed] = lanes
        return found

    def _index(self) -> dict[str, list[str]]:
        """Read from the metas of all runs when it is first needed."""
        if self._known is None:
            known: dict[str, list[str]] = {}
            store = self.context.store
            for run in store.ids():
                with suppress(BadRequest, OSError):
                    if isinstance(series := store.meta(run).get(SERIES), str) and store.meta(run)["beside"]:
                        known.setdefault(series, []).append(run)
            self._known = known
        return self._known

    def _running(self, lanes: list[Reader]) -> bool:
        running = any(lane.store.status(lane.run) == "running" for lane in lanes)
        for lane in lanes:
            lane.update()
        return running


def checked(count: Any) -> int | None:
    """A number of seeds, or None for none said. Raises BadRequest for what is neither."""
    if count is not None and (type(count) is not int or not 2 <= count <= MOST):
        raise BadRequest(strings.BAD_SEEDS.format(count=repr(count)[:40], most=MOST))
    return count


def _told(run: str, count: int, over: list[list[Reader]]) -> dict[str, Any]:
    curves = [[bands.curve(lanes[index].frames) for lanes in over] for index in (0, 1)]
    labels = [lane_label(lane) for lane in over[0]] if over else ["", ""]
    ends = [(a[-1]["score"], b[-1]["score"]) for a, b in zip(*curves, strict=True) if a and b]
    return {
        "id": run, "count": count, "done": len(over),
        "lanes": [{axis: bands.band(lane, axis) for axis in bands.AXES} for lane in curves],
        "finding": bands.finding(labels, ends),
    }  # fmt: skip
