"""Many requests over few connections, until each has its final answer: the heart of the client.

Requests are taken from a source while the window has room, sent many at a time, and given out as they are answered.
A connection that is lost, or answers too late, is replaced, and what was open on it is asked again.
A connection that the server wants to end gets nothing new, and is read until nothing is open on it.
An exchange belongs to one thread.
"""

import selectors
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from core.client.connection import Connection, ConnectionLost
from core.client.pool import ConnectionPool, NoServer, refused
from core.client.requests import ClientRequest
from core.client.rotation import GiveUpTimer, belongs_elsewhere, pause_after
from core.errors import ClientError, LocalProtocolError, ServerUnavailable
from core.protocol import Error, ErrorCode, Goaway, Reply

WINDOW = 1000
"""How many requests may be open at once; the server's own limit counts too."""

MOST_BYTES = 4 * 1024 * 1024
"""How many bytes of requests may be open at once: large payloads make the window smaller."""

GATHER_SECONDS = 0.02
"""A source that takes longer than this is not waited for: what it gave so far is sent."""

IDLE_SECONDS = 0.02
"""How long answers are waited for before a source that has nothing now is asked again."""

ONE_LOOK: type[selectors.BaseSelector] = getattr(selectors, "PollSelector", selectors.SelectSelector)
"""The cheapest selector for a few sockets and one look; Windows has only the other one."""

Answered: TypeAlias = tuple[ClientRequest, Reply]


class RequestPipeline:
    """Asks servers.

    Args:
        pool: has the connections.
        patience: for how many seconds to go on when nothing but trouble comes.
        window: how many requests may be open at once.
        connections: over how many connections to spread them, so that several servers behind one address take
            their share. A further one is made only when the others are full.
    """

    def __init__(self, pool: ConnectionPool, patience: float, window: int = WINDOW, connections: int = 1) -> None:
        self._pool = pool
        self._patience = GiveUpTimer(patience)
        self._connections = connections
        self._window = max(1, window // connections)
        self._most_bytes = MOST_BYTES // connections
        self._current: list[Connection] = []
        self._asked = 0
        self._leaving: list[Connection] = []
        self._again: deque[ClientRequest] = deque()
        self._resume_at = 0.0
        self._exhausted = False
        self._idle = False

    def answers(self, source: Iterable[ClientRequest | None]) -> Iterator[Answered]:
        """Ask everything, and give out the final answers as they come.

        Args:
            source: what to ask. None says that it has nothing more at this moment.

        Raises:
            ServerUnavailable: patience is at its end.
            RequestRefused: the servers refuse us altogether.
        """
        asks = iter(source)
        try:
            while True:
                answered: list[Answered] = []
                try:
                    self._fill(asks, answered)
                    over = self._exhausted and not self._again and not any(lane.open for lane in self._lanes())
                    if not over and not answered:
                        self._receive(answered)
                except ClientError:
                    # What has its answer is not to be lost with what has none.
                    yield from answered
                    raise
                yield from answered
                if over:
                    return
        finally:
            self._release()

    def _lanes(self) -> list[Connection]:
        """Every connection that the exchange has."""
        return [*self._leaving, *self._current]

    def _release(self) -> None:
        for lane in self._lanes():
            self._pool.give_back(lane)
        self._leaving, self._current = [], []

    # Sending.

    def _fill(self, asks: Iterator[ClientRequest | None], answered: list[Answered]) -> None:
        """Send as much as there is room for; what can't be sent at all is answered here."""
        self._idle = False
        now = time.monotonic()
        if now < self._resume_at or (self._exhausted and not self._again):
            return
        lane = self._lane(now)
        if lane is None:
            return
        self._gather(lane, asks, now + GATHER_SECONDS, answered)
        try:
            lane.flush()
        except ConnectionLost as error:
            self._lost(lane, str(error), now)

    def _gather(
        self, lane: Connection, asks: Iterator[ClientRequest | None], until: float, answered: list[Answered]
    ) -> None:
        """Put requests into a connection, until it is full or the source takes too long."""
        now = 0.0
        while now < until and lane.room(self._window, self._most_bytes) > 0:
            ask = self._next(asks)
            if ask is None:
                return
            now = time.monotonic()
            try:
                lane.ask(ask, now, time.time())
                self._asked += 1
            except LocalProtocolError as error:
                answered.append((ask, Reply(None, error=Error(ErrorCode.INVALID, str(error)))))
            if len(lane.open) == 1:
                # Nobody knows how long the source takes for the next one: the first goes out at once.
                return

    def _has_room(self, lane: Connection) -> bool:
        """Whether it is worth while to send: a call of the system costs more than a single task."""
        return lane.room(self._window, self._most_bytes) * 4 >= min(
            self._window, lane.protocol.limits.max_open_requests
        )

    def _next(self, asks: Iterator[ClientRequest | None]) -> ClientRequest | None:
        if self._again:
            return self._again.popleft()
        if self._exhausted:
            return None
        try:
            ask = next(asks)
        except StopIteration:
            self._exhausted = True
            return None
        self._idle = ask is None
        return ask

    def _lane(self, now: float) -> Connection | None:
        """The connection for what is new: the one that was asked least of those with room, or a further one.

        None when none can be had now.
        """
        roomy = [lane for lane in self._current if self._has_room(lane)]
        full = len(self._current) >= self._connections
        if roomy and (full or self._asked < len(self._current) * self._window):
            return min(roomy, key=lambda lane: lane.asked)
        if full:
            return None
        try:
            lane = self._pool.take()
        except NoServer as error:
            if not self._current:
                self._trouble(error.reason, now, error.pause)
            return roomy[0] if roomy else None
        self._current.append(lane)
        return lane

    # Receiving.

    def _receive(self, answered: list[Answered]) -> None:
        """Wait until something can be done, and take what was answered."""
        now = time.monotonic()
        lanes = self._lanes()
        pause = self._pause(lanes, now)
        if not lanes:
            time.sleep(pause)
            return
        with ONE_LOOK() as selector:
            for place, lane in enumerate(lanes):
                wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if lane.writing else 0)
                selector.register(lane, wanted, place)
            ready = selector.select(pause)
        now = time.monotonic()
        for key, events in ready:
            lane = lanes[key.data]
            try:
                if events & selectors.EVENT_WRITE:
                    lane.flush()
                received = lane.receive(now) if events & selectors.EVENT_READ else ()
                self._take(lane, received, now, answered)
            except ConnectionLost as error:
                self._lost(lane, str(error), now)
        self._check(lanes, now)

    def _pause(self, lanes: list[Connection], now: float) -> float:
        """How long nothing but an answer makes a difference."""
        wake_at = min((lane.deadline(self._pool.timeout) for lane in lanes), default=float("inf"))
        if self._again or not self._exhausted:
            has_room = not self._current or any(self._has_room(lane) for lane in self._current)
            if self._idle:
                wake_at = min(wake_at, now + IDLE_SECONDS)
            elif has_room:
                wake_at = min(wake_at, self._resume_at)
        return max(0.0, wake_at - now) if wake_at < float("inf") else IDLE_SECONDS

    def _take(self, lane: Connection, events: Iterable[Reply | Goaway], now: float, answered: list[Answered]) -> None:
        for event in events:
            if isinstance(event, Goaway):
                self._leave(lane)
                continue
            ask = lane.settle(event)
            if ask is None:
                if event.error is not None:
                    refused(event.error)
            elif event.error is not None and event.error.code.retriable:
                self._again.append(ask)
                self._postpone(lane, event.error, now)
            else:
                self._progress(lane)
                if ask.is_final(event, now):
                    answered.append((ask, event))
                else:
                    self._again.append(ask)
        if lane in self._leaving and not lane.open:
            self._leaving.remove(lane)
            lane.close()

    def _check(self, lanes: Iterable[Connection], now: float) -> None:
        """Give up connections on which nothing comes any more."""
        for lane in lanes:
            if now >= lane.deadline(self._pool.timeout):
                silent = now - self._pool.timeout
                self._lost(lane, f"no answer within {self._pool.timeout:g} seconds", now, since=silent)

    # Trouble.

    def _leave(self, lane: Connection) -> None:
        """Begin nothing new on a connection."""
        lane.leaving = True
        if lane in self._current:
            self._current.remove(lane)
            self._leaving.append(lane)

    def _postpone(self, lane: Connection, error: Error, now: float) -> None:
        """The server can't do it now: wait, or go to another one."""
        reason = f"{lane.address}: {error.message} ({error.code})"
        # The first of a batch speaks for all of it.
        if belongs_elsewhere(error.code):
            if not lane.leaving:
                self._pool.mark_failed(lane.address, error.retry_after or 0.0)
                self._leave(lane)
                self._trouble(reason, now, 0.0)
        elif now >= self._resume_at:
            pause = max(error.retry_after or 0.0, pause_after(self._patience.failures + 1, 1.0))
            self._trouble(reason, now, pause)

    def _lost(self, lane: Connection, reason: str, now: float, since: float | None = None) -> None:
        """A connection is gone: ask again what was open on it."""
        asks = [ask for ask, _ in lane.open.values()]
        lane.open.clear()
        lane.close()
        if lane in self._current:
            self._current.remove(lane)
        elif lane in self._leaving:
            self._leaving.remove(lane)
        if asks:
            self._again.extendleft(reversed(asks))
            self._pool.mark_failed(lane.address)
            pause = pause_after(self._patience.failures, 1.0)
            self._trouble(f"{lane.address}: {reason}", now, pause, since)

    def _progress(self, lane: Connection) -> None:
        self._patience.progress()
        if not lane.proven:
            lane.proven = True
            self._pool.mark_working(lane.address)

    def _trouble(self, reason: str, now: float, pause: float, since: float | None = None) -> None:
        if reason:
            self._patience.trouble(reason, now if since is None else since)
        left = self._patience.left(now)
        if left <= 0:
            raise ServerUnavailable(self._farewell())
        self._resume_at = now + min(pause, left)

    def _farewell(self) -> str:
        asks = [ask for lane in self._lanes() for ask, _ in lane.open.values()] + list(self._again)
        told = f"no server answered for {self._patience.limit:g} seconds ({self._patience.reason})"
        if not asks:
            return f"{told}; nothing was sent"
        which = f" {asks[0].id}" if asks[0].id else ""
        if len(asks) > 1:
            which = f"s, from {asks[0].id} on," if asks[0].id else "s"
        return (
            f"{told}; {len(asks)} request{which} without an answer: nothing is known to be stored of them, "
            "ask again with the same ids"
        )
