"""The values that a check is given, and those that it returns."""

import enum
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import msgspec

from core.config import Settings
from core.supervisor.doctor.remedies import Platform
from core.supervisor.home import Home


class Verdict(enum.StrEnum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"
    """The system can run, with a restriction."""
    PROBLEM = "problem"
    """The system can't run, or its data is wrong."""


class Finding(msgspec.Struct, frozen=True):
    """What a check found."""

    check: str
    """The name of the check, one or two words."""
    verdict: Verdict
    text: str
    """A sentence for users."""
    remedy: str = ""
    """A command of this platform or an instruction; empty where nothing must be mended."""


class Subject(msgspec.Struct, frozen=True):
    """The system that is checked."""

    settings: Settings
    environment: Mapping[str, str]
    """The variables that the processes would inherit."""
    home: Home
    """The paths of the data directory, which need not exist."""
    platform: Platform


Findings: TypeAlias = Iterator[Finding]


def ok(check: str, text: str, remedy: str = "") -> Finding:
    """Make a finding that all is well. A remedy explains how to install what is not needed now."""
    return Finding(check, Verdict.OK, text, remedy)


def warning(check: str, text: str, remedy: str) -> Finding:
    """Make a finding of a restriction."""
    return Finding(check, Verdict.WARNING, text, remedy)


def problem(check: str, text: str, remedy: str) -> Finding:
    """Make a finding of a problem."""
    return Finding(check, Verdict.PROBLEM, text, remedy)
