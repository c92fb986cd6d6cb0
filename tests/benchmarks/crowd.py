"""A client with one thread and any number of connections: it offers tasks by a schedule, or as fast as they are taken.

By a schedule means: each task has its moment, and goes out then, whatever became of those before it. Its latency
counts from that moment, so that what a slow answer delays is not left out of the figures. Every time is one of
`time.time()`, so that those of the journal can be compared with them.
"""

import selectors
import time
from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec

from core.addresses import Address
from core.client.connection import Connection
from core.client.load_lines import SubmitLineTemplate, read_replies
from core.client.pool import ConnectionPool
from core.closeable import Closeable
from core.identifiers import new_id
from core.jsontext import Json
from tests.benchmarks.case import Lost

PATIENCE = 60.0
"""Seconds without any answer after which there will be none."""

FEW = 200
"""So many connections can be waited for by the selector that keeps time to the microsecond; others round it up."""


class Offered(msgspec.Struct, frozen=True, kw_only=True):
    """What became of tasks that were offered, by their numbers."""

    due: dict[int, float]
    """When they were to be sent."""
    sent: dict[int, float]
    accepted: dict[int, float]


class Crowd(Closeable):
    """Connects at once.

    Args:
        entrance: where to.
        connections: how many.
        payload: of each task.
        kind: of each task.
    """

    def __init__(
        self, entrance: Sequence[Address], connections: int, payload: Json = "hello world", kind: str = "echo"
    ) -> None:
        self._pool = ConnectionPool(entrance, None, PATIENCE)
        self._selector = selectors.SelectSelector() if connections <= FEW else selectors.DefaultSelector()
        self._template = SubmitLineTemplate(f"crowd-{new_id()[-12:]}", kind, payload)
        self._next = 1
        self._members: list[_Member] = []
        try:
            for _ in range(connections):
                member = _Member(self._pool.acquire())
                self._members.append(member)
                self._selector.register(member.lane, selectors.EVENT_READ, member)
        except BaseException:  # whatever it is: the connections that are there are not left open
            self.close()
            raise

    def number(self, task_id: str) -> int:
        """Which task has this id."""
        return int(task_id.rpartition("-")[2])

    def offer(self, moments: Sequence[float]) -> Offered:
        """Send a task at each of the moments, which are in order, and wait until all are accepted.

        Raises:
            Lost: they are not.
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
                self._send(self._members[number % len(self._members)], [number])
            pause = max(0.0, waiting[-1][1] - time.time()) if waiting else PATIENCE
            for member in self._ready(pause, idle=len(accepted) == len(sent)):
                accepted.update(dict.fromkeys(self._receive(member), time.time()))
        return Offered(due=due, sent=sent, accepted=accepted)

    def flood(self, tasks: int, window: int) -> float:
        """Send so many tasks as fast as they are accepted, with so many open on each connection at most.

        Returns:
            The seconds until the last was accepted.

        Raises:
            Lost: not all are accepted.
        """
        numbers = iter(range(self._next, self._next + tasks))
        self._next += tasks
        began = time.perf_counter()
        for member in self._members:
            self._send(member, list(islice(numbers, window)))
        answered = 0
        while answered < tasks:
            for member in self._ready(PATIENCE, idle=False):
                answered += len(self._receive(member))
                # A quarter of the window at a time: a call for each task would cost more than the task.
                if (window - member.open) * 4 >= window:
                    self._send(member, list(islice(numbers, window - member.open)))
        return time.perf_counter() - began

    def close(self) -> None:
        """Close all connections."""
        for member in self._members:
            member.lane.close()
        self._selector.close()
        self._pool.close()

    def _send(self, member: "_Member", numbers: Sequence[int]) -> None:
        if numbers:
            member.lane.write(self._template.lines(numbers, time.time()))
            member.open += len(numbers)
            self._flush(member)

    def _flush(self, member: "_Member") -> None:
        member.lane.flush()
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if member.lane.has_output else 0)
        if wanted != member.wanted:
            self._selector.modify(member.lane, wanted, member)
            member.wanted = wanted

    def _ready(self, pause: float, *, idle: bool) -> Iterator["_Member"]:
        """Wait for so long at most; those that have something to be read.

        Raises:
            Lost: no answer comes though one is waited for.
        """
        events = self._selector.select(pause)
        if not events and pause >= PATIENCE and not idle:
            raise Lost(f"no answer came within {PATIENCE:g} seconds")
        for key, kinds in events:
            if kinds & selectors.EVENT_WRITE:
                self._flush(key.data)
            if kinds & selectors.EVENT_READ:
                yield key.data

    def _receive(self, member: "_Member") -> list[int]:
        """The numbers of the tasks that were accepted.

        Raises:
            Lost: the server says something else.
        """
        received = member.lane.read()
        if received is None:
            return []
        if not received:
            raise Lost("a server closed a connection")
        whole, newline, member.rest = (member.rest + received).rpartition(b"\n")
        numbers = []
        for reply in read_replies(whole) if newline else ():
            if reply.ref is None or reply.error is not None:
                raise Lost(f"a task was not accepted: {reply.error or reply.goaway}")
            numbers.append(reply.ref)
        member.open -= len(numbers)
        return numbers


class _Member:
    """One connection."""

    def __init__(self, lane: Connection) -> None:
        self.lane = lane
        self.rest = b""
        self.open = 0
        self.wanted = selectors.EVENT_READ
