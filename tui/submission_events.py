"""The events of a submission, which the screen passes to the tabs as values."""

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
    """A submission failed."""

    reason: str


class SubmissionProgress(msgspec.Struct, frozen=True):
    """The progress of a long submission."""

    count: int
    total: int | None
    """The number of tasks, or None when it is unknown."""
    seconds: float
    share: float | None = None
    """The share that is done, between 0 and 1, when it is known although the total is not."""


class SubmissionFinished(msgspec.Struct, frozen=True):
    """A long submission has ended."""

    tally: BulkSubmitResult
    cancelled: bool


SubmissionEvent: TypeAlias = SubmissionAccepted | SubmissionRefused | SubmissionProgress | SubmissionFinished
