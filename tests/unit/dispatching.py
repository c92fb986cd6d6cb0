"""A server's dispatcher with a real journal, and a broker that does what the test says."""

from collections.abc import Sequence
from contextlib import suppress

import msgspec

from core.broker.base import Message, OnPublishResults, Publisher, PublishResult, Reference
from core.dispatcher import Dispatcher
from core.errors import JournalUnavailable
from core.model import Dispatch
from core.repository.base import Repository
from tests.contract.repositories import NOW, enter, process

WALL = NOW
"""Seconds since the epoch at the monotonic time 0."""


class ScriptedPublisher(Publisher):
    """A broker's publisher that confirms, refuses, blocks and goes away when it is told to."""

    def __init__(self, on_settled: OnPublishResults) -> None:
        self._settle = on_settled
        self._trouble = ""
        self.held: dict[int, Message] = {}
        """Sent, and not settled."""
        self.sent: list[Message] = []
        self.confirmed: list[Reference] = []
        self.closed_with: float | None = None
        self.confirms_at_close = False

    @property
    def available(self) -> bool:
        """Whether it was told nothing else."""
        return not self._trouble

    @property
    def trouble(self) -> str:
        """What it was told."""
        return self._trouble

    def send(self, messages: Sequence[Message]) -> None:
        """Hold them until the test settles them."""
        assert not {message.tag for message in messages} & set(self.held), "a tag that is on its way"
        self.sent += messages
        if self._trouble == "away":
            self._settle([PublishResult(message.tag, confirmed=False, reason="away") for message in messages])
        else:
            self.held |= {message.tag: message for message in messages}

    def settle(self, count: int | None = None, *, confirmed: bool = True) -> None:
        """Settle the first ones, or all."""
        messages = list(self.held.values())[:count]
        for message in messages:
            del self.held[message.tag]
        if confirmed:
            self.confirmed += references(messages)
        self._settle([PublishResult(message.tag, confirmed, "" if confirmed else "refused") for message in messages])

    def block(self) -> None:
        """Take nothing and settle nothing, as a broker with a full disk does."""
        self._trouble = "blocked"

    def go_away(self) -> None:
        """Lose the connection."""
        self._trouble = "away"
        self.settle(confirmed=False)

    def come_back(self) -> None:
        """Be there again."""
        self._trouble = ""

    def close(self, timeout: float = 5.0) -> None:
        """Settle the rest."""
        self.closed_with = timeout
        self.settle(confirmed=self.confirms_at_close)


def references(messages: Sequence[Message]) -> list[Reference]:
    """What messages refer to."""
    return [msgspec.json.decode(message.body, type=Reference) for message in messages]


class Server:
    """What a server's journal thread does around its dispatcher; the time is the test's."""

    def __init__(self, journal: Repository) -> None:
        self.journal = journal
        self.now = 0.0
        self.ahead = 0.0
        """By how much the wall clock is ahead."""
        with journal.transaction():
            self.number = journal.register(process())
        self.publishers: list[ScriptedPublisher] = []
        self.recreations = 0
        """How often the broker's queue was made by this server."""
        self.dispatcher = Dispatcher(self.open_publisher, self.number, self.now, lambda: self.recreations)
        (self.publisher,) = self.publishers

    def open_publisher(self, on_settled: OnPublishResults) -> ScriptedPublisher:
        """Make the one publisher."""
        self.publishers.append(ScriptedPublisher(on_settled))
        return self.publishers[-1]

    @property
    def wall(self) -> float:
        """What the wall clock says."""
        return WALL + self.now + self.ahead

    def submit(self, *task_ids: str) -> None:
        """Accept tasks and take them."""
        owner = self.number if self.dispatcher.room >= len(task_ids) else None
        seqs = enter(self.journal, *task_ids, owner=owner, now=self.wall)
        if owner is not None:
            self.dispatcher.take(Dispatch(seq, name, "echo", 0) for seq, name in zip(seqs, task_ids, strict=True))

    def has_to_write(self, seconds: float = 0.0) -> bool:
        """Whether there is anything to write, so many seconds from now."""
        return self.dispatcher.has_to_write(self.now + seconds, lambda: self.journal.has_due_tasks(self.wall + seconds))

    def commit(self, *, fails: bool = False) -> None:
        """Write what there is to write."""
        if not self.has_to_write():
            return
        with suppress(JournalUnavailable):
            with self.journal.transaction():
                self.dispatcher.write(self.journal, self.now, self.wall)
                if fails:
                    raise JournalUnavailable("the disk is full")
            self.dispatcher.committed(self.now)

    def flush(self) -> None:
        """Publish what there is to publish."""
        self.dispatcher.flush(self.now, self.wall)

    def turn(self, seconds: float = 0.0, *, fails: bool = False) -> None:
        """One turn of the thread, `seconds` later."""
        self.now += seconds
        self.commit(fails=fails)
        self.flush()

    @property
    def sent(self) -> list[tuple[str, int]]:
        """The ids and attempts of all that was published."""
        return [(reference.id, reference.attempt) for reference in references(self.publisher.sent)]
