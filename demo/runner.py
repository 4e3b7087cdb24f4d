"""Computes comparisons in one thread, many at a time: one event of one, then one event of another.

Whose searches have had the least of the thread comes next, so that nobody waits for another's whole run. A run goes on
when its tab closes. One that waits for a person holds neither the thread nor a place among the active ones.
"""

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic, perf_counter
from typing import Any

from core.search.errors import BadRequest, BeamscopeError
from core.search.events import RunSpec
from core.store.runs import RunStore
from demo.jobs import Job, create
from demo.models import Models
from demo.strings import BUSY, NOT_RUNNING, TOO_MANY
from demo.visitors import hashed
from demo.waiting import waits
from demo.zero_gpu import Borrowed

MAX_ACTIVE = 24      # searches in turn: each holds the states of its front
MAX_WAITING = 40     # in line
MAX_PARKED = 48      # that wait for people; beyond it the one longest left alone ends
MAX_OWN = 12         # of one visitor, whatever they wait for
PATIENCE = 15 * 60   # seconds that a search waits for its person
USUAL = 10.0         # seconds of work of a search of which nothing is known

log = logging.getLogger(__name__)


class Runner:
    """Every comparison that this server computes."""

    def __init__(self, store: RunStore, models: Models):
        self.store, self.models = store, models
        self.problems: OrderedDict[str, str] = OrderedDict()  # why a run could not go on, by run
        self._line: OrderedDict[str, Job] = OrderedDict()  # in the order asked for, by first run id
        self._active: OrderedDict[str, Job] = OrderedDict()
        self._had: dict[str, float] = {}  # seconds that each visitor had, while they have an active search
        self._took: deque[float] = deque([USUAL], maxlen=20)  # seconds of work of the last searches
        self._change = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="searches", daemon=True)
        self._thread.start()

    # What a page asks for

    def start(
        self, specs: Sequence[RunSpec], visitor: str = "", private: bool = False, seconds: float = 0.0,
        marks: Mapping[str, Any] | None = None, account: str = "",
        lend: Callable[[threading.Event], Borrowed] | None = None,
    ) -> str:
        """Put a visitor's comparison in line; the id of its first run. `seconds`: of work, where that is predicted;
        `marks`: what else the metas of its runs say; `account`: with whose searches it shares, if not the visitor's;
        `lend`: what computes it on a GPU that is lent for it.

        Raises BadRequest when the line is full or the visitor has too many there.
        """
        owner = hashed(visitor)
        account = account or owner
        with self._change:
            if len(self._line) >= MAX_WAITING:
                raise BadRequest(BUSY.format(count=len(self._line)))
            if account and sum(job.account == account for job in self._jobs()) >= MAX_OWN:
                raise BadRequest(TOO_MANY.format(count=MAX_OWN))
            writers = create(self.store, specs, {**(marks or {}), "owner": owner, "private": private})
            job = Job(tuple(specs), writers, account, seconds, lend=lend)
            self._line[job.run] = job
            self._change.notify()
        return job.run

    def control(self, run: str, action: Any) -> str:
        """Pause, step, go on or stop; the state that follows. Raises BadRequest where that is impossible."""
        with self._change:
            job = self._job(run)
            job.control(action)
            if job.cancel.is_set() and self._line.pop(run, None):  # whoever leaves need not wait for their turn
                self._active[run] = job
            return self._woken(job)

    def choose(self, run: str, keep: Any, asked: Any = None) -> str:
        """Answer what a search asks: ids to keep, or None to leave it to the verifier. Raises as Hands.choose."""
        with self._change:
            job = self._job(run)
            if keep is None:
                job.hands.leave(asked)
            else:
                job.hands.choose(keep, asked)
            return self._woken(job)

    def leave(self, run: str) -> str:
        """Leave this and all later choices of a run to the verifier."""
        with self._change:
            job = self._job(run)
            job.hands.leave(rest=True)
            return self._woken(job)

    def steer(self, run: str, node: Any, action: Any) -> str:
        """Pin, forbid or free a node. Raises as Hands.steer."""
        with self._change:
            job = self._job(run)
            job.hands.steer(node, action)
            return self._woken(job)

    def stop(self, run: str) -> bool:
        """Ask a run to end before its next model call; whether there was one to stop."""
        try:
            self.control(run, "stop")
        except BadRequest:
            return False
        return True

    def state(self, run: str) -> str | None:
        """waiting, or as Job.state; None for a run that is not computed here now."""
        with self._change:
            if run in self._line:
                return "waiting"
            return self._active[run].state if run in self._active else None

    def queue(self, run: str) -> dict[str, Any] | None:
        """Place in line and seconds until it begins, as far as can be foretold."""
        with self._change:
            if run not in self._line:
                return None
            place = list(self._line).index(run)
            busy = [self._left(job) for job in self._turns()]
            return {"place": place + 1, "seconds": waits(busy, self._lefts(self._line.values()), MAX_ACTIVE)[place]}

    def mark(self, run: str) -> tuple[str | None, int] | None:
        """Another value whenever something has happened to a run; None for one that is not computed here now."""
        job = self._line.get(run) or self._active.get(run)
        return (job.state, job.count) if job else None

    def close(self) -> None:
        """Stop everything and wait a moment for the logs to be complete."""
        with self._change:
            self._closed = True
            for job in self._jobs():
                job.cancel.set()
            self._change.notify()
        self._thread.join(timeout=3)

    # The thread

    def _work(self) -> None:
        while (job := self._next()) is not None:
            began = perf_counter()
            going = self._advance(job)
            self._note(job, perf_counter() - began, going)

    def _advance(self, job: Job) -> bool:
        try:
            return job.advance(self.models)
        except Exception as error:
            log.exception("comparison %s could not be computed", job.run)
            self.problems[job.run] = str(error) if isinstance(error, BeamscopeError) else ""
            while len(self.problems) > 200:
                self.problems.popitem(last=False)
            return False

    def _next(self) -> Job | None:
        """The job whose turn it is, as soon as there is one; None once the runner is closed and empty."""
        with self._change:
            while True:
                self._let_in()
                self._end_forgotten()
                if turns := self._turns():
                    return min(turns, key=lambda job: (self._had.get(_whose(job), 0.0), job.used))
                if self._closed and not self._jobs():
                    return None
                self._change.wait(timeout=1)

    def _note(self, job: Job, seconds: float, going: bool) -> None:
        with self._change:
            job.used += seconds
            job.touched = monotonic()
            self._had[_whose(job)] = self._had.get(_whose(job), 0.0) + seconds
            if not going:
                del self._active[job.run]
                job.close()
                if not job.cancel.is_set():
                    self._took.append(job.used)
            here = {_whose(other) for other in self._active.values()}
            self._had = {whose: had for whose, had in self._had.items() if whose in here}

    # All below is called with the lock held

    def _let_in(self) -> None:
        while self._line and len(self._turns()) < MAX_ACTIVE:
            _, job = self._line.popitem(last=False)
            self._catch_up(job)
            self._active[job.run] = job

    def _catch_up(self, job: Job) -> None:
        """Who was not in turn has no claim to the time that others had meanwhile."""
        others = [other for other in self._turns() if other is not job]
        least = min((self._had.get(_whose(other), 0.0) for other in others), default=0.0)
        self._had[_whose(job)] = max(self._had.get(_whose(job), 0.0), least)

    def _end_forgotten(self) -> None:
        parked = sorted((job for job in self._active.values() if job.parked), key=lambda job: job.touched)
        for place, job in enumerate(parked):
            if monotonic() - job.touched > PATIENCE or len(parked) - place > MAX_PARKED:
                job.cancel.set()

    def _turns(self) -> list[Job]:
        return [job for job in self._active.values() if not job.parked]

    def _jobs(self) -> list[Job]:
        return [*self._active.values(), *self._line.values()]

    def _job(self, run: str) -> Job:
        job = self._active.get(run) or self._line.get(run)
        if job is None:
            raise BadRequest(NOT_RUNNING)
        return job

    def _woken(self, job: Job) -> str:
        job.touched = monotonic()
        if not job.parked:
            self._catch_up(job)
        self._change.notify()
        return "waiting" if job.run in self._line else job.state

    def _left(self, job: Job) -> float:
        whole = job.seconds or sum(self._took) / len(self._took)
        return max(whole - job.used, whole / 10)

    def _lefts(self, jobs: Iterable[Job]) -> list[float]:
        return [self._left(job) for job in jobs]


def _whose(job: Job) -> str:
    """By whom the thread is shared; searches of nobody known stand for themselves."""
    return job.account or job.run
