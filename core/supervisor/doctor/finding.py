"""What a check finds out, and what it is given to look at. Values only; nothing here looks at the machine."""

import enum
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import msgspec

from core.config import Settings
from core.supervisor.doctor.remedies import Platform
from core.supervisor.home import Home


class Verdict(enum.StrEnum):
    """How something is."""

    OK = "ok"
    WARNING = "warning"
    """The system runs, though not as it might."""
    PROBLEM = "problem"
    """The system does not run so."""


class Finding(msgspec.Struct, frozen=True):
    """What was found out about one thing."""

    check: str
    """What was looked at, in a word or two."""
    verdict: Verdict
    text: str
    """A sentence."""
    remedy: str = ""
    """What mends it: a command of this platform, or an instruction. Empty where there is nothing to mend."""


class Subject(msgspec.Struct, frozen=True):
    """What is examined."""

    settings: Settings
    environment: Mapping[str, str]
    """What the processes of the system would inherit."""
    home: Home
    """Of the data directory, which need not be there."""
    platform: Platform


Findings: TypeAlias = Iterator[Finding]


def ok(check: str, text: str, remedy: str = "") -> Finding:
    """All is well; a remedy says how to get what is not needed as things are."""
    return Finding(check, Verdict.OK, text, remedy)


def warning(check: str, text: str, remedy: str) -> Finding:
    """The system runs, though not as it might."""
    return Finding(check, Verdict.WARNING, text, remedy)


def problem(check: str, text: str, remedy: str) -> Finding:
    """The system does not run so."""
    return Finding(check, Verdict.PROBLEM, text, remedy)
