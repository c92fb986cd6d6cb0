"""The checks of this user: whether it is root, and how many files it may open."""

from core.supervisor.doctor import remedies
from core.supervisor.doctor.finding import Finding, Findings, Subject, ok, warning
from core.supervisor.doctor.machine import files_limit
from core.supervisor.doctor.remedies import Platform

ENOUGH_FILES = 1024
"""Open files that a process needs to serve many clients."""


def check_user(subject: Subject) -> Findings:
    """Check whether this user is root."""
    if subject.platform.root:
        text = "you are root: every file and process will belong to root, and other users can't use the system"
        yield warning("user", text, "run it as an ordinary user, in a directory of that user")
    else:
        yield ok("user", "an ordinary user")


def check_open_files(subject: Subject) -> Findings:
    """Check how many files a process may open."""
    limit = files_limit()
    if limit is None:
        yield ok("open files", "this system sets no limit")
    else:
        yield judge_open_files(*limit, subject.platform)


def judge_open_files(soft: int, hard: int, platform: Platform) -> Finding:
    """Judge the limit of open files.

    Args:
        soft: the limit in force.
        hard: the highest limit that this user may set.
        platform: this platform.
    """
    if soft >= ENOUGH_FILES:
        return ok("open files", "a process may open enough files")
    text = f"a process may open only {soft} files, and each connection is one"
    return warning("open files", text, remedies.raise_open_files(platform, hard))
