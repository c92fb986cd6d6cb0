"""One connection of the load generator: keeps its window full, measures, and survives what the servers do.

It belongs to one thread. What is lost is sent again with the same ids, as the client itself does it,
but everything is done for a whole batch at a time.
"""

import selectors
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from itertools import islice

import msgspec

from core.client.connection import Connection, ConnectionLost
from core.client.histogram import Histogram
from core.client.load_lines import LoadReply, SubmitLineTemplate, pace, read_replies
from core.client.pool import ConnectionPool, NoServer, refused
from core.client.rotation import GiveUpTimer, belongs_elsewhere, pause_after
from core.errors import RemoteProtocolError, ServerUnavailable
from core.protocol import Error

_LONGEST_PAUSE = 0.5
"""How long nothing is looked at, so that an end from outside is seen."""


class LoadShare(msgspec.Struct, frozen=True, kw_only=True):
    """What one connection has to do."""

    tasks: int
    window: int
    rate: float | None = None
    """Tasks a second; as fast as it goes when None."""


class LoadConnection:
    """Submits tasks.

    Args:
        pool: has the connections.
        template: makes the lines.
        share: what to do.
        patience: for how many seconds to go on when nothing but trouble comes.
        stop: set from outside to end early.

    Attributes:
        accepted: how many tasks were.
        errors: how many answers were errors, by code; `lost` counts connections.
        latencies: from submitted to accepted.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        template: SubmitLineTemplate,
        share: LoadShare,
        patience: float,
        stop: threading.Event,
    ) -> None:
        self.accepted = 0
        self.errors: Counter[str] = Counter()
        self.latencies = Histogram()
        self._pool = pool
        self._template = template
        self._share = share
        self._patience = GiveUpTimer(patience)
        self._stop = stop
        self._next = 1
        self._again: deque[int] = deque()
        self._open: dict[int, float] = {}
        self._resume_at = 0.0
        self._leaving = False
        self._rest = b""
        self._began = 0.0

    @property
    def last_ids(self) -> list[str]:
        """The ids of the last tasks that were sent: a window full."""
        return [self._template.task_id(n) for n in range(max(1, self._next - self._share.window), self._next)]

    def run(self) -> None:
        """Submit everything.

        Raises:
            ServerUnavailable: patience is at its end.
            RequestRefused: the servers refuse us altogether.
        """
        self._began = time.monotonic()
        while not self._over():
            try:
                lane = self._pool.take()
            except NoServer as error:
                self._trouble(error.reason)
                self._stop.wait(error.pause)
                continue
            try:
                self._drive(lane)
            except ConnectionLost as error:
                self.errors["lost"] += 1
                self._pool.mark_failed(lane.address)
                self._trouble(f"{lane.address}: {error}")
                self._stop.wait(pause_after(self._patience.failures - 1, 1.0))
            finally:
                # The lane's own books know nothing of what was sent here: nobody else may have it.
                lane.close()

    def _over(self) -> bool:
        return self._stop.is_set() or (self._next > self._share.tasks and not self._again and not self._open)

    def _drive(self, lane: Connection) -> None:
        """Use one connection as long as it is good."""
        self._again.extendleft(reversed(self._open))
        self._open.clear()
        self._leaving = False
        self._rest = b""
        heard = time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(lane, selectors.EVENT_READ)
            while not self._over() and not (self._leaving and not self._open):
                pause = self._send(lane)
                wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if lane.writing else 0)
                selector.modify(lane, wanted)
                ready = selector.select(min(pause, _LONGEST_PAUSE))
                now = time.monotonic()
                if any(events & selectors.EVENT_READ for _, events in ready):
                    heard = now
                    self._receive(lane, now)
                elif self._open and now - heard > self._pool.timeout:
                    raise ConnectionLost(f"no answer within {self._pool.timeout:g} seconds")
                elif not self._open:
                    heard = now

    # Sending.

    def _send(self, lane: Connection) -> float:
        """Send what there is room for; how long to wait before more can be sent."""
        now = time.monotonic()
        numbers: Sequence[int] = ()
        pause = _LONGEST_PAUSE
        if not self._leaving:
            room, pause = self._room(lane, now)
            numbers = self._take(room)
        if numbers:
            lane.put(self._template.lines(numbers, time.time()))
            self._open.update(dict.fromkeys(numbers, now))
        lane.flush()
        return pause

    def _room(self, lane: Connection, now: float) -> tuple[int, float]:
        if now < self._resume_at:
            return 0, self._resume_at - now
        window = min(self._share.window, lane.protocol.limits.max_open_requests)
        room = window - len(self._open)
        if self._share.rate is not None:
            due, pause = pace(self._share.rate, now - self._began, self._next - 1)
            return min(room, due), pause or _LONGEST_PAUSE
        # A quarter of the window at a time: a call for each task would cost more than the task.
        return (room if room * 4 >= window else 0), _LONGEST_PAUSE

    def _take(self, most: int) -> Sequence[int]:
        if most <= 0:
            return ()
        if self._again:
            numbers = list(islice(self._again, most))
            for _ in numbers:
                self._again.popleft()
            return numbers
        fresh = range(self._next, min(self._next + most, self._share.tasks + 1))
        self._next += len(fresh)
        return fresh

    # Receiving.

    def _receive(self, lane: Connection, now: float) -> None:
        received = lane.read()
        if received is None:
            return
        if not received:
            raise ConnectionLost("the server closed the connection")
        whole, newline, self._rest = (self._rest + received).rpartition(b"\n")
        if newline:
            try:
                self._settle(lane, read_replies(whole), now)
            except (RemoteProtocolError, KeyError) as error:
                raise ConnectionLost(f"not what was asked: {error}") from error

    def _settle(self, lane: Connection, replies: Sequence[LoadReply], now: float) -> None:
        sent: Counter[float] = Counter()
        take = self._open.pop
        for reply in replies:
            if reply.goaway is not None:
                self._leaving = True
            elif reply.error is not None:
                self._refused(lane, reply.ref, reply.error, now)
            elif reply.ref is not None:
                sent[take(reply.ref)] += 1
        for moment, times in sent.items():
            self.latencies.add(now - moment, times)
            self.accepted += times
        if sent:
            self._patience.progress()
            if not lane.proven:
                lane.proven = True
                self._pool.mark_working(lane.address)

    def _refused(self, lane: Connection, ref: int | None, error: Error, now: float) -> None:
        self.errors[error.code] += 1
        if ref is None:
            refused(error)
            return
        del self._open[ref]
        if not error.code.retriable:
            return
        self._again.append(ref)
        reason = f"{lane.address}: {error.message} ({error.code})"
        if belongs_elsewhere(error.code):
            if not self._leaving:
                self._leaving = True
                self._pool.mark_failed(lane.address, error.retry_after or 0.0)
                self._trouble(reason)
        elif now >= self._resume_at:
            self._trouble(reason)
            pause = max(error.retry_after or 0.0, pause_after(self._patience.failures, 1.0))
            self._resume_at = now + min(pause, self._patience.limit)

    def _trouble(self, reason: str) -> None:
        now = time.monotonic()
        if reason:
            self._patience.trouble(reason, now)
        if self._patience.left(now) <= 0:
            raise ServerUnavailable(
                f"no server answered for {self._patience.limit:g} seconds ({self._patience.reason}); "
                f"{len(self._open) + len(self._again)} tasks without an answer: nothing is known to be stored of them"
            )
