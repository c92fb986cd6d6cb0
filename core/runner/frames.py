"""What a worker and its runner tell each other: frames of messages over a socket.

A frame is a length of four bytes, big endian, and as many bytes of MessagePack: a list of messages. Tasks are named by
their *slot*, in which the runner notes their beginning.
"""

import struct
from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec

from core.file_states import FileState
from core.model import Failure, RetryDelays, TaskReport, TaskStack

_LENGTH = struct.Struct(">I")


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    """The base of all messages."""


class Setup(_Message, frozen=True, tag=True):
    """The first message to a runner: what it runs, and how."""

    modules: tuple[str, ...]
    """The user's modules of tasks, as `core.tasks.load` takes them."""
    lab: bool
    files_root: str | None
    threads: int
    timeout: float | None
    """Seconds that a task may run whose kind specifies no time-out."""
    reload: bool = False
    """Whether the worker must learn which files are imported."""


class Attach(_Message, frozen=True, tag=True):
    """Note in this file of a worker what begins (`core.begun_slots`). It comes before the first task."""

    path: str


class Run(_Message, frozen=True, tag=True):
    """Run a task as soon as a thread is free."""

    slot: int
    id: str
    kind: str
    payload: str
    attempt: int


class GiveBack(_Message, frozen=True, tag=True):
    """Give back all tasks that have not begun. The answer is `GivenBack`."""


class CancelRun(_Message, frozen=True, tag=True):
    """Ask a running task to stop, because it was cancelled. It ends as usual, with an outcome."""

    slot: int


class Interrupt(_Message, frozen=True, tag=True):
    """Ask all running tasks to stop at once. They will run again elsewhere."""


class Stop(_Message, frozen=True, tag=True):
    """Begin no more tasks, and exit when the running ones have ended."""


class KindSettings(msgspec.Struct, frozen=True, array_like=True):
    """What a worker must know of a kind of task."""

    kind: str
    retries: int | None
    timeout: float | None
    isolate: bool = False
    memory: int | None = None
    """Bytes of memory that its process may have."""
    delays: RetryDelays = RetryDelays()
    retries_timeouts: bool = True
    """Whether a task is retried after a time-out."""
    description: str = ""
    schema: str = ""
    """The JSON schema of its payloads; empty for a kind that takes any JSON value."""


class Ready(_Message, frozen=True, tag=True):
    """The modules are imported and started, and the threads wait for tasks."""

    kinds: tuple[KindSettings, ...]
    has_stop: bool = False
    """Whether something is to be done when the runner leaves."""
    sources: tuple[FileState, ...] = ()
    """The files of the user's modules as they were imported, if the worker must learn them."""


class SetupRefused(_Message, frozen=True, tag=True):
    """The modules can't be imported or started, or define no proper tasks."""

    reason: str


class Ended(_Message, frozen=True, tag=True):
    """A task has ended."""

    slot: int
    finished_at: float
    """By the clock of the day, as are all times of a task's timeline."""
    result: str | None
    """The result as JSON text, or None for a failure."""
    failure: Failure | None = None
    permanent: bool = False
    """Whether a retry would not help."""
    retry_after: float | None = None
    """Seconds until the next attempt, if the task has said so."""


class Report(_Message, frozen=True, tag=True):
    """What a task has said of itself so far. It names the attempt, since the slot may have another one by now."""

    slot: int
    id: str
    attempt: int
    report: TaskReport


class StackTaken(_Message, frozen=True, tag=True):
    """Where the code of a task is that has run for a while. It names the attempt, as a `Report` does."""

    slot: int
    id: str
    attempt: int
    stack: TaskStack


class LoopBlocked(_Message, frozen=True, tag=True):
    """A task blocks the event loop of the runner."""

    id: str
    """The task, or an empty text when it is not known."""
    stack: str
    """Where it is, as Python prints tracebacks; an empty text when the loop goes on again."""


class Interrupted(_Message, frozen=True, tag=True):
    """A task has stopped because it was asked to, and has no outcome."""

    slot: int


class GivenBack(_Message, frozen=True, tag=True):
    """The tasks that had not begun."""

    slots: tuple[int, ...]


ToRunner = Setup | Attach | Run | GiveBack | CancelRun | Interrupt | Stop
ToWorker = Ready | SetupRefused | Ended | Report | StackTaken | LoopBlocked | Interrupted | GivenBack

Message = TypeVar("Message")
_encode = msgspec.msgpack.Encoder().encode


def encode(messages: Sequence[ToRunner | ToWorker]) -> bytes:
    """Return the frame of some messages."""
    body = _encode(messages)
    return _LENGTH.pack(len(body)) + body


class FrameReader(Generic[Message]):
    """Splits a stream of bytes into frames.

    Args:
        decode: decodes the list of messages in a frame.
    """

    def __init__(self, decoder: "msgspec.msgpack.Decoder[list[Message]]") -> None:
        self._decode = decoder.decode
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Add received bytes. Returns the messages of all frames that are complete.

        Raises:
            msgspec.MsgspecError: the bytes are no frames. Close the connection.
        """
        self._buffer += data
        messages: list[Message] = []
        start = 0
        while start + _LENGTH.size <= len(self._buffer):
            (length,) = _LENGTH.unpack_from(self._buffer, start)
            end = start + _LENGTH.size + length
            if end > len(self._buffer):
                break
            with memoryview(self._buffer) as view:
                messages += self._decode(view[start + _LENGTH.size : end])
            start = end
        del self._buffer[:start]
        return messages


def runner_reader() -> FrameReader[ToRunner]:
    """Return a reader of what a worker sends."""
    return FrameReader(msgspec.msgpack.Decoder(list[ToRunner]))


def worker_reader() -> FrameReader[ToWorker]:
    """Return a reader of what a runner sends."""
    return FrameReader(msgspec.msgpack.Decoder(list[ToWorker]))
