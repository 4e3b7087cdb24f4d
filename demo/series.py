"""One comparison repeated with other seeds, to see how much of its outcome was luck.

The repeats go on only while somebody asks how far they are: one after the other, so that they never crowd out others.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Any

from core.search.errors import BadRequest
from core.search.events import RunSpec
from demo import bands, settings, strings
from demo.context import Context
from demo.launch import launch, require_models
from demo.remote import lane_label
from demo.streaming import Reader

MOST = 8      # seeds, the first run's own among them
KEPT = 200    # series that are remembered


@dataclass
class Series:
    """The runs of a series, the one that it repeats first. `spec` is what that one's first lane did."""

    spec: RunSpec
    count: int
    runs: list[str]
    private: bool
    lock: threading.Lock = field(default_factory=threading.Lock)


class Repeats:
    """The series of this server, by the run that they repeat."""

    def __init__(self, context: Context):
        self.context = context
        self._series: OrderedDict[str, Series] = OrderedDict()

    def begin(self, run: Any, count: Any, request: Any) -> str:
        """Repeat a comparison until there are `count` of it; its id. Raises BadRequest where that is impossible."""
        if type(count) is not int or not 2 <= count <= MOST:
            raise BadRequest(strings.BAD_SEEDS.format(count=repr(count)[:40], most=MOST))
        visitor = self.context.visitors.of(request)
        lanes = self.context.library.lanes(run, visitor)
        if self._running(lanes) or len(lanes) < 2:
            raise BadRequest(strings.NOT_REPEATED)
        require_models(self.context.models)
        if run not in self._series:
            spec = lanes[0].tree.spec
            if spec.origin or spec.chooser == "person":
                raise BadRequest(strings.NOT_REPEATED)
            private = self.context.library.audience(run) == "private"
            self._series[run] = Series(spec, count, [run], private)
            while len(self._series) > KEPT:
                self._series.popitem(last=False)
        self._series[run].count = max(count, self._series[run].count)
        self._go_on(self._series[run], request)
        return run

    def show(self, run: Any, request: Any) -> dict[str, Any]:
        """How far a series is, the bands of its lanes and what they say. Raises BadRequest for no series."""
        visitor = self.context.visitors.of(request)
        self.context.library.find(run, visitor)
        if run not in self._series:
            raise BadRequest(strings.NO_SERIES)
        series = self._series[run]
        problem = self._try_on(series, request)
        found = [self.context.library.lanes(one, visitor) for one in series.runs]
        over = [lanes for lanes in found if len(lanes) == 2 and not self._running(lanes)]
        return _told(run, series, over) | {"problem": problem}

    def _try_on(self, series: Series, request: Any) -> str | None:
        try:
            self._go_on(series, request)
        except BadRequest as error:  # too soon, or the line is full: the next question tries again
            return strings.sentence(str(error))
        return None

    def _go_on(self, series: Series, request: Any) -> None:
        """Start the next repeat if none is running."""
        with series.lock:
            if len(series.runs) >= series.count:
                return
            lanes = self.context.library.lanes(series.runs[-1], self.context.visitors.of(request))
            if self._running(lanes):
                return
            spec = replace(series.spec, seed=(series.spec.seed + len(series.runs)) % settings.SEEDS)
            plan = settings.plan(self.context.models, spec)
            series.runs.append(launch(self.context, plan, request, series.private))

    def _running(self, lanes: list[Reader]) -> bool:
        running = any(lane.store.status(lane.run) == "running" for lane in lanes)
        for lane in lanes:
            lane.update()
        return running


def _told(run: str, series: Series, over: list[list[Reader]]) -> dict[str, Any]:
    curves = [[bands.curve(lanes[index].frames) for lanes in over] for index in (0, 1)]
    labels = [lane_label(lane) for lane in over[0]] if over else ["", ""]
    ends = [(a[-1]["score"], b[-1]["score"]) for a, b in zip(*curves, strict=True) if a and b]
    return {
        "id": run, "count": series.count, "done": len(over),
        "lanes": [{axis: bands.band(lane, axis) for axis in bands.AXES} for lane in curves],
        "finding": bands.finding(labels, ends),
    }  # fmt: skip
