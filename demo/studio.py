"""Makes films of runs for visitors: one at a time, the last few kept, and a short line in front of the door."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import contextmanager

from demo import film, remote, strings
from demo.context import Context
from demo.film_frame import Scenery
from demo.refusals import TooSoon

FILMS: dict[str, Callable[..., bytes]] = {"replay.mp4": film.mp4, "replay.webp": film.animated_webp,
                                         "replay.gif": film.gif}
KEPT = 8        # films
IN_LINE = 4     # visitors who wait while one is made


class Studio:
    """Films by name ("replay.mp4", "replay.webp", "replay.gif") of any run in the library."""

    def __init__(self, context: Context):
        self.context = context
        self._made: OrderedDict[tuple[str, str, int], bytes] = OrderedDict()
        self._door, self._line = threading.Lock(), threading.BoundedSemaphore(IN_LINE)

    def film(self, name: str, run: str, visitor: str) -> bytes:
        """The film of a run as far as it has come. Raises NoSuchRun, or TooSoon where others wait already."""
        reply = remote.snapshot(self.context, run, visitor)
        lanes, _ = self.context.library.shown(run, visitor)
        events = [lane.store.load(lane.run) for lane in lanes]
        key = name, run, sum(map(len, events))
        with self._alone():
            if key not in self._made:
                scenery = Scenery(lanes, [lane["label"] for lane in reply["lanes"]])
                self._made[key] = FILMS[name](scenery, events)
            self._made.move_to_end(key)
            while len(self._made) > KEPT:
                self._made.popitem(last=False)
            return self._made[key]

    @contextmanager
    def _alone(self):
        if not self._line.acquire(blocking=False):
            raise TooSoon(strings.FILMS_WAIT)
        try:
            with self._door:
                yield
        finally:
            self._line.release()
