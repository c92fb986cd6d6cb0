"""The checks of what this user may do: whether it may do everything, and how many files it may have open."""

from core.supervisor.doctor import remedies
from core.supervisor.doctor.finding import Finding, Findings, Subject, ok, warning
from core.supervisor.doctor.machine import files_limit
from core.supervisor.doctor.remedies import Platform

ENOUGH_FILES = 1024
"""How many files a process has to be allowed to have open, to serve many clients."""


def check_user(subject: Subject) -> Findings:
    """Who this user is."""
    if subject.platform.root:
        text = "you are root: every file and process will belong to root, and other users can't use the system"
        yield warning("user", text, "run it as an ordinary user, in a directory of that user")
    else:
        yield ok("user", "an ordinary user")


def check_open_files(subject: Subject) -> Findings:
    """How many files a process may have open."""
    limit = files_limit()
    if limit is None:
        yield ok("open files", "this system sets no limit to a user")
    else:
        yield judge_open_files(*limit, subject.platform)


def judge_open_files(soft: int, hard: int, platform: Platform) -> Finding:
    """Say whether a process may have enough files open.

    Args:
        soft: how many it may have.
        hard: up to where the user may raise that.
        platform: this one.
    """
    if soft >= ENOUGH_FILES:
        return ok("open files", "a process may have enough of them")
    text = f"a process may have only {soft} files open, and each connection is one"
    return warning("open files", text, remedies.raise_open_files(platform, hard))
