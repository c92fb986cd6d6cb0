"""A client with one thread and many connections: sends tasks by a schedule, or as fast as they are accepted.

By a schedule, each task is sent at its time, independently of those before it. Its latency counts from that time, so
that delays of slow answers are included. All times are of `time.time()`, comparable with those of the journal.
"""

import selectors
import time
from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec

from core.addresses import Address
from core.client.load_lines import SubmitLineTemplate, read_replies
from core.client.pool import ConnectionPool
from core.client.socket_connection import SocketConnection
from core.closeable import Closeable
from core.identifiers import new_id
from core.jsontext import Json
from tests.benchmarks.case import TasksLost

PATIENCE = 60.0
"""Seconds without an answer before giving up."""

SELECT_LIMIT = 200
"""Connections up to which `select` is used, which is exact to the microsecond; other selectors round up."""


class Offered(msgspec.Struct, frozen=True, kw_only=True):
    """The times of some tasks by number."""

    due: dict[int, float]
    """The scheduled times."""
    sent: dict[int, float]
    accepted: dict[int, float]


class LoadClient(Closeable):
    """A client that opens all its connections at once.

    Args:
        entrance: addresses to connect to.
        connections: number of connections.
        payload: of each task.
        kind: of each task.
    """

    def __init__(
        self, entrance: Sequence[Address], connections: int, payload: Json = "hello world", kind: str = "echo"
    ) -> None:
        self._pool = ConnectionPool(entrance, None, PATIENCE)
        self._selector = selectors.SelectSelector() if connections <= SELECT_LIMIT else selectors.DefaultSelector()
        self._template = SubmitLineTemplate(f"crowd-{new_id()[-12:]}", kind, payload)
        self._next = 1
        self._connections: list[_ConnectionState] = []
        try:
            for _ in range(connections):
                state = _ConnectionState(self._pool.acquire())
                self._connections.append(state)
                self._selector.register(state.connection, selectors.EVENT_READ, state)
        except BaseException:  # the open connections are closed in any case
            self.close()
            raise

    def number(self, task_id: str) -> int:
        """Return the number of the task of an id."""
        return int(task_id.rpartition("-")[2])

    def send_at(self, moments: Sequence[float]) -> Offered:
        """Send a task at each of some ascending times, and wait until all are accepted.

        Raises:
            TasksLost: they are not.
        """
        due = dict(enumerate(moments, self._next))
        self._next += len(due)
        waiting = list(reversed(due.items()))
        sent: dict[int, float] = {}
        accepted: dict[int, float] = {}
        while len(accepted) < len(due):
            while waiting and waiting[-1][1] <= time.time():
                number, _ = waiting.pop()
                sent[number] = time.time()
                self._send(self._connections[number % len(self._connections)], [number])
            pause = max(0.0, waiting[-1][1] - time.time()) if waiting else PATIENCE
            for state in self._ready(pause, idle=len(accepted) == len(sent)):
                accepted.update(dict.fromkeys(self._receive(state), time.time()))
        return Offered(due=due, sent=sent, accepted=accepted)

    def send_all(self, tasks: int, window: int) -> float:
        """Send tasks as fast as they are accepted, with at most a window of open ones on each connection.

        Returns:
            The seconds until the last was accepted.

        Raises:
            TasksLost: not all are accepted.
        """
        numbers = iter(range(self._next, self._next + tasks))
        self._next += tasks
        began = time.perf_counter()
        for state in self._connections:
            self._send(state, list(islice(numbers, window)))
        answered = 0
        while answered < tasks:
            for state in self._ready(PATIENCE, idle=False):
                answered += len(self._receive(state))
                # A quarter of the window at a time: a system call for each task would cost more than the task.
                if (window - state.open) * 4 >= window:
                    self._send(state, list(islice(numbers, window - state.open)))
        return time.perf_counter() - began

    def close(self) -> None:
        """Close all connections."""
        for state in self._connections:
            state.connection.close()
        self._selector.close()
        self._pool.close()

    def _send(self, state: "_ConnectionState", numbers: Sequence[int]) -> None:
        if numbers:
            state.connection.write(self._template.lines(numbers, time.time()))
            state.open += len(numbers)
            self._flush(state)

    def _flush(self, state: "_ConnectionState") -> None:
        state.connection.flush()
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if state.connection.has_output else 0)
        if wanted != state.wanted:
            self._selector.modify(state.connection, wanted, state)
            state.wanted = wanted

    def _ready(self, pause: float, *, idle: bool) -> Iterator["_ConnectionState"]:
        """Wait for input for at most `pause`, and yield the connections that have some.

        Raises:
            TasksLost: no answer comes though some are expected.
        """
        events = self._selector.select(pause)
        if not events and pause >= PATIENCE and not idle:
            raise TasksLost(f"no answer came within {PATIENCE:g} seconds")
        for key, kinds in events:
            if kinds & selectors.EVENT_WRITE:
                self._flush(key.data)
            if kinds & selectors.EVENT_READ:
                yield key.data

    def _receive(self, state: "_ConnectionState") -> list[int]:
        """Return the numbers of the accepted tasks.

        Raises:
            TasksLost: a task was not accepted.
        """
        received = state.connection.read()
        if received is None:
            return []
        if not received:
            raise TasksLost("a server closed a connection")
        whole, newline, state.partial_line = (state.partial_line + received).rpartition(b"\n")
        numbers = []
        for reply in read_replies(whole) if newline else ():
            if reply.ref is None or reply.error is not None:
                raise TasksLost(f"a task was not accepted: {reply.error or reply.goaway}")
            numbers.append(reply.ref)
        state.open -= len(numbers)
        return numbers


class _ConnectionState:
    """A connection, its partial input and its open tasks."""

    def __init__(self, connection: SocketConnection) -> None:
        self.connection = connection
        self.partial_line = b""
        self.open = 0
        self.wanted = selectors.EVENT_READ
