"""The engine in this process: a queue of jobs, and the one thread that owns the model."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from cachetools import LRUCache
from PIL import Image

from app.engine.batch import paint_all
from app.engine.interface import Job, JobStatus, Model, Refinement, Result
from app.settings import Settings
from model.controls import MIN_STYLE_SIZE
from model.optimization.descent import Budget
from model.optimization.optimize import Optimization
from model.painting import Painting
from model.runtime import pictures_at_once
from model.stylizer import Stylizer

WARM_UP_SIDE = 256
# A job waits so many seconds for smaller ones to come and pass it, for each pixel of its work, and
# MAX_PATIENCE seconds at most: then it has waited as long as is fair.
PATIENCE, MAX_PATIENCE = 3e-6, 10.0
# A job that is being painted lets those pass that cost up to this share of its work.
PASSING_SHARE = 0.5
# Clients whose last turn is remembered.
MAX_CLIENTS = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """A job in the queue, with its status, its caller's future, and the time it was queued."""

    job: Job
    status: JobStatus
    future: Future[Result]
    asked: float

    @property
    def turn(self) -> float:
        """The time that decides which job of a client is next: that of the least."""
        return self.asked + min(PATIENCE * self.job.work, MAX_PATIENCE)


class ProcessEngine:
    """Paints jobs in one thread; queued jobs of one size are painted together.

    It never waits for a batch to fill. Clients take turns: next is the one that has waited longest
    since its last. Jobs of a client start in the order in which they were queued, except that
    smaller ones pass larger ones for a while. Those join a batch which have the size of the job
    whose turn it is. A job that is being painted lets much smaller ones pass: between its styles,
    parts of the picture, steps of refinement, and layers of the networks (on a CPU). Each client
    gets as much of its time as the job has had itself.

    Attributes:
        stylizer: the model.
        ready: whether the warm-up is done.
    """

    def __init__(self, stylizer: Stylizer, settings: Settings) -> None:
        """Wait for jobs.

        Args:
            stylizer: the model.
            settings: say how many jobs are painted at once at most, and whether to get ready for
                refinements too.
        """
        self.stylizer = stylizer
        self.ready = False
        self._max_batch = settings.max_batch
        self._refines = settings.max_refine_seconds > 0
        self._waiting: list[Ticket] = []
        self._last_turn: LRUCache[str, float] = LRUCache(MAX_CLIENTS)
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    async def start(self) -> Model:
        """Begin to warm up, and describe the model."""
        self._warming = asyncio.create_task(self.warm_up())
        return Model.of(self.stylizer)

    async def stylize(self, job: Job, status: JobStatus) -> Result:
        """Paint a job. If the caller is cancelled while its job is queued, the job is dropped.

        Raises:
            Exception: what the model raised for this job.
        """
        ticket = Ticket(job, status, Future(), time.perf_counter())
        with self._lock:
            self._waiting.append(ticket)
        # One call for each ticket; a call whose ticket another one took finds none and returns.
        self._thread.submit(self._paint_next)
        try:
            return await asyncio.wrap_future(ticket.future)
        except asyncio.CancelledError:
            status.gone.set()
            raise

    def _paint_next(self, may: Callable[[Job], bool] = lambda job: True) -> list[Ticket]:
        """Paint the batch whose turn it is, of jobs that may be painted now, and return it."""
        batch = self._take(may)
        if not batch:
            return []
        started = time.perf_counter()
        jobs, statuses = [ticket.job for ticket in batch], [ticket.status for ticket in batch]
        pause = self._pause(PASSING_SHARE * max(job.work for job in jobs))
        results = paint_all(self.stylizer, jobs, statuses, pause)
        seconds = time.perf_counter() - started
        for ticket, result in zip(batch, results, strict=True):
            if isinstance(result, Exception):
                ticket.future.set_exception(result)
            else:
                ticket.future.set_result(
                    replace(
                        result,
                        queue_seconds=started - ticket.asked,
                        model_seconds=seconds,
                        batch=len(batch),
                    )
                )
        return batch

    def _pause(self, most_work: float) -> Callable[[], None]:
        """Return a function that lets jobs up to that work pass one that begins now.

        A passing job lets others pass in turn; as each is smaller by PASSING_SHARE, few are open.
        """
        own, passed = 0.0, Counter[str]()
        resumed = time.perf_counter()

        def may(job: Job) -> bool:
            return job.work <= most_work and passed[job.client] < own

        def pause() -> None:
            nonlocal own, resumed
            now = time.perf_counter()
            own += now - resumed
            while batch := self._paint_next(may):
                before, now = now, time.perf_counter()
                passed.update({ticket.job.client: now - before for ticket in batch})
            resumed = now

        return pause

    def _take(self, may: Callable[[Job], bool]) -> list[Ticket]:
        """Take the ticket whose turn it is, of jobs that may be painted, and those that join it."""
        with self._lock:
            waiting = [ticket for ticket in self._waiting if not ticket.future.cancelled()]
            waiting.sort(key=lambda each: (self._last_turn.get(each.job.client, 0), each.turn))
            able = [ticket for ticket in waiting if may(ticket.job)]
            batch = []
            if able:
                first = able[0].job
                fit = pictures_at_once(first.painting.content.size, self.stylizer.device)
                most = min(self._max_batch, fit)
                others = [each for each in able[1:] if first.goes_with(each.job)]
                batch = [able[0], *others][:most]
            self._waiting = [ticket for ticket in waiting if ticket not in batch]
            for ticket in batch:
                self._last_turn[ticket.job.client] = time.perf_counter()
        return [ticket for ticket in batch if ticket.future.set_running_or_notify_cancel()]

    async def warm_up(self) -> None:
        """Stylize once, so that the first request finds memory and kernels prepared."""
        picture = Image.new("RGB", (WARM_UP_SIDE, WARM_UP_SIDE))
        job = Job(Painting.plan(picture, 1), [picture], MIN_STYLE_SIZE)
        if self._refines:  # once, as the first backward pass takes a second
            once = Optimization(budget=Budget(steps=1), style_size=MIN_STYLE_SIZE)
            job = replace(job, refinement=Refinement(once, [picture]))
        await self.stylize(job, JobStatus())
        self.ready = True

    def close(self) -> None:
        """Drop queued jobs; nobody waits for the running one."""
        self.ready = False
        with self._lock:
            for ticket in self._waiting:
                ticket.future.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)
