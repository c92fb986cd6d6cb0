"""A server's dispatcher with a real journal, and a scripted broker."""

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
    """A publisher that confirms, refuses, blocks and disconnects when the test calls for it."""

    def __init__(self, on_settled: OnPublishResults) -> None:
        self._settle = on_settled
        self._trouble = ""
        self.unconfirmed: dict[int, Message] = {}
        """Messages that are sent and not settled."""
        self.sent: list[Message] = []
        self.confirmed: list[Reference] = []
        self.closed_with: float | None = None
        self.confirms_at_close = False

    @property
    def available(self) -> bool:
        """Whether it is neither blocked nor disconnected."""
        return not self._trouble

    @property
    def trouble(self) -> str:
        """Its scripted trouble."""
        return self._trouble

    def send(self, messages: Sequence[Message]) -> None:
        """Keep the messages until the test settles them."""
        assert not {message.tag for message in messages} & set(self.unconfirmed), "a tag that is not settled"
        self.sent += messages
        if self._trouble == "disconnected":
            self._settle([PublishResult(message.tag, confirmed=False, reason="disconnected") for message in messages])
        else:
            self.unconfirmed |= {message.tag: message for message in messages}

    def settle(self, count: int | None = None, *, confirmed: bool = True) -> None:
        """Settle the first `count` messages, or all."""
        messages = list(self.unconfirmed.values())[:count]
        for message in messages:
            del self.unconfirmed[message.tag]
        if confirmed:
            self.confirmed += references(messages)
        self._settle([PublishResult(message.tag, confirmed, "" if confirmed else "refused") for message in messages])

    def block(self) -> None:
        """Accept and settle nothing, as a broker with a full disk does."""
        self._trouble = "blocked"

    def disconnect(self) -> None:
        """Lose the connection."""
        self._trouble = "disconnected"
        self.settle(confirmed=False)

    def reconnect(self) -> None:
        """Be available again."""
        self._trouble = ""

    def close(self, timeout: float = 5.0) -> None:
        """Settle the other messages."""
        self.closed_with = timeout
        self.settle(confirmed=self.confirms_at_close)


def references(messages: Sequence[Message]) -> list[Reference]:
    """Return the references in messages."""
    return [msgspec.json.decode(message.body, type=Reference) for message in messages]


class Server:
    """The work of a server's journal thread around its dispatcher, in the test's time."""

    def __init__(self, journal: Repository) -> None:
        self.journal = journal
        self.now = 0.0
        self.ahead = 0.0
        """Seconds by which the wall clock is ahead."""
        with journal.transaction():
            self.number = journal.register(process())
        self.publishers: list[ScriptedPublisher] = []
        self.recreations = 0
        """How often this server recreated the queue."""
        self.dispatcher = Dispatcher(self.open_publisher, self.number, self.now, lambda: self.recreations)
        (self.publisher,) = self.publishers

    def open_publisher(self, on_settled: OnPublishResults) -> ScriptedPublisher:
        """Make the one publisher."""
        self.publishers.append(ScriptedPublisher(on_settled))
        return self.publishers[-1]

    @property
    def wall(self) -> float:
        """The time of the wall clock."""
        return WALL + self.now + self.ahead

    def submit(self, *task_ids: str) -> None:
        """Accept tasks and add them to the dispatcher."""
        owner = self.number if self.dispatcher.room >= len(task_ids) else None
        seqs = enter(self.journal, *task_ids, owner=owner, now=self.wall)
        if owner is not None:
            self.dispatcher.add(Dispatch(seq, name, "echo", 0) for seq, name in zip(seqs, task_ids, strict=True))

    def needs_write(self, seconds: float = 0.0) -> bool:
        """Return whether the dispatcher needs a transaction `seconds` from now."""
        return self.dispatcher.needs_write(self.now + seconds, lambda: self.journal.has_due_tasks(self.wall + seconds))

    def commit(self, *, fails: bool = False) -> None:
        """Run a transaction if the dispatcher needs one."""
        if not self.needs_write():
            return
        with suppress(JournalUnavailable):
            with self.journal.transaction():
                self.dispatcher.write(self.journal, self.now, self.wall)
                if fails:
                    raise JournalUnavailable("the disk is full")
            self.dispatcher.after_commit(self.now)

    def flush(self) -> None:
        """Publish the tasks that wait for it."""
        self.dispatcher.flush(self.now, self.wall)

    def run_once(self, seconds: float = 0.0, *, fails: bool = False) -> None:
        """Run the thread's loop once, `seconds` later."""
        self.now += seconds
        self.commit(fails=fails)
        self.flush()

    @property
    def sent(self) -> list[tuple[str, int]]:
        """The ids and attempts of all published messages."""
        return [(reference.id, reference.attempt) for reference in references(self.publisher.sent)]
