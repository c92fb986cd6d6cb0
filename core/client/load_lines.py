"""The lines of the load generator: made of a template and read many at a time, as cheaply as it can be done. Pure."""

from collections.abc import Sequence

import msgspec

from core import jsontext
from core.errors import RemoteProtocolError
from core.jsontext import Json
from core.protocol import Error, Goaway


class LoadReply(msgspec.Struct):
    """What matters of a reply."""

    ref: int | None = None
    error: Error | None = None
    goaway: Goaway | None = None


LEAST_PAUSE = 0.005
"""Seconds: what is due within so short a time is sent together."""

_decode_lines = msgspec.json.Decoder(LoadReply).decode_lines


class SubmitLineTemplate:
    """Makes the lines that submit the tasks of one connection: number `n` has the ref `n` and the id `PREFIX-n`.

    Args:
        prefix: of the ids.
        kind: of the tasks.
        payload: of each.
    """

    def __init__(self, prefix: str, kind: str, payload: Json) -> None:
        self._prefix = prefix
        self._rest = f'","kind":{jsontext.write(kind)},"payload":{jsontext.write(payload)},"sent":'

    def task_id(self, number: int) -> str:
        """The id of a task."""
        return f"{self._prefix}-{number}"

    def lines(self, numbers: Sequence[int], wall: float) -> bytes:
        """The lines of some tasks, sent at `wall`, seconds since the epoch."""
        prefix = self._prefix
        rest = f"{self._rest}{wall:.6f}}}\n"
        return "".join([f'{{"op":"submit","ref":{n},"id":"{prefix}-{n}{rest}' for n in numbers]).encode()


def read_replies(data: bytes) -> list[LoadReply]:
    """Read whole lines.

    Raises:
        RemoteProtocolError: they are not replies.
    """
    try:
        return _decode_lines(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RemoteProtocolError(f"the server doesn't speak the protocol: {error}") from error


def pace(rate: float, elapsed: float, sent: int) -> tuple[int, float]:
    """How many tasks may be sent now at `rate` a second, and if none, in how many seconds one may be."""
    due = int(elapsed * rate) + 1 - sent
    return (due, 0.0) if due > 0 else (0, max(LEAST_PAUSE, sent / rate - elapsed))
