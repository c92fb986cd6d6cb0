"""What the screen tells a tab about what it has asked for. Values."""

from typing import TypeAlias

import msgspec

from core.client import NewSubmission
from tui.system_control import BulkSubmitResult, SubmitResult


class SubmissionAccepted(msgspec.Struct, frozen=True):
    """A task was accepted."""

    task: NewSubmission
    submitted: SubmitResult
    at: float


class SubmissionRefused(msgspec.Struct, frozen=True):
    """What was asked for could not be done."""

    reason: str


class SubmissionProgress(msgspec.Struct, frozen=True):
    """How far a long submission is."""

    count: int
    total: int | None
    """None when it is not known."""
    seconds: float
    share: float | None = None
    """How much of it is done, between 0 and 1, where that is known though the total isn't."""


class SubmissionFinished(msgspec.Struct, frozen=True):
    """A long submission is over."""

    tally: BulkSubmitResult
    cancelled: bool


SubmissionEvent: TypeAlias = SubmissionAccepted | SubmissionRefused | SubmissionProgress | SubmissionFinished
