"""The protocol lines of the load generator, made from a template and parsed in batches to save time. Pure."""

from collections.abc import Sequence

import msgspec

from core import jsontext
from core.errors import RemoteProtocolError
from core.jsontext import Json
from core.protocol import Error, Goaway


class LoadReply(msgspec.Struct):
    """The members of a reply that the load generator uses."""

    ref: int | None = None
    error: Error | None = None
    goaway: Goaway | None = None


MIN_DELAY = 0.005
"""Shortest delay before the next task, in seconds. Tasks that become due meanwhile are sent together."""

_decode_lines = msgspec.json.Decoder(LoadReply).decode_lines


class SubmitLineTemplate:
    """A template of the lines that submit tasks: task `n` has the ref `n` and the id `PREFIX-n`.

    Args:
        prefix: the prefix of the ids.
        kind: the kind of the tasks.
        payload: the payload of every task.
    """

    def __init__(self, prefix: str, kind: str, payload: Json) -> None:
        self._prefix = prefix
        self._rest = f'","kind":{jsontext.write(kind)},"payload":{jsontext.write(payload)},"sent":'

    def task_id(self, number: int) -> str:
        """Return the id of a task."""
        return f"{self._prefix}-{number}"

    def lines(self, numbers: Sequence[int], wall_time: float) -> bytes:
        """Return the lines of some tasks, sent at `wall_time`, in seconds since the epoch."""
        prefix = self._prefix
        rest = f"{self._rest}{wall_time:.6f}}}\n"
        return "".join([f'{{"op":"submit","ref":{n},"id":"{prefix}-{n}{rest}' for n in numbers]).encode()


def read_replies(data: bytes) -> list[LoadReply]:
    """Parse whole lines.

    Raises:
        RemoteProtocolError: a line is not a reply.
    """
    try:
        return _decode_lines(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RemoteProtocolError(f"the server doesn't speak the protocol: {error}") from error


def pace(rate: float, elapsed: float, sent: int) -> tuple[int, float]:
    """Return how many tasks are due now at `rate` a second, and the seconds until the next is due."""
    due = int(elapsed * rate) + 1 - sent
    return (due, 0.0) if due > 0 else (0, max(MIN_DELAY, sent / rate - elapsed))
