"""What the screen tells a tab about what it has asked for. Values."""

from typing import TypeAlias

import msgspec

from core.client import NewSubmission
from tui.acting import Submitted, Tally


class Accepted(msgspec.Struct, frozen=True):
    """A task was accepted."""

    task: NewSubmission
    submitted: Submitted
    at: float


class Refused(msgspec.Struct, frozen=True):
    """What was asked for could not be done."""

    reason: str


class Progressed(msgspec.Struct, frozen=True):
    """How far a long submission is."""

    count: int
    total: int | None
    """None when it is not known."""
    seconds: float
    share: float | None = None
    """How much of it is done, between 0 and 1, where that is known though the total isn't."""


class Finished(msgspec.Struct, frozen=True):
    """A long submission is over."""

    tally: Tally
    cancelled: bool


Answer: TypeAlias = Accepted | Refused | Progressed | Finished
