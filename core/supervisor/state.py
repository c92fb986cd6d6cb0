"""What the supervisor leaves on the disk for others to find: how to reach it, and which processes it has started.

Neither file proves that anything runs: the lock does that for the supervisor, and the census for its children.
"""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TypeVar

import msgspec

from core.errors import SupervisorError
from core.supervisor.plan import ProcessKind
from core.supervisor.processes.process_identity import ProcessIdentity

Stored = TypeVar("Stored", bound=msgspec.Struct)


class SupervisorState(msgspec.Struct, frozen=True):
    """How to reach a supervisor."""

    identity: ProcessIdentity
    control: str
    """The address of its control channel."""
    token: str
    """What has to be shown there."""


class ChildRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A process that was started."""

    name: str
    kind: ProcessKind = msgspec.field(name="duty")
    identity: ProcessIdentity
    spawned_at: float
    """When it was started, seconds since the epoch, as its supervisor's clock had it."""
    address: str = ""
    """Where it listens."""
    fingerprint: str = ""
    """Of its specification."""


class ChildRecords(msgspec.Struct, frozen=True):
    """All processes that were started and have not been seen to end."""

    children: tuple[ChildRecord, ...] = ()


class DesiredState(msgspec.Struct, frozen=True, kw_only=True):
    """What the system of a directory is to be: for the supervisor that comes after one that was killed."""

    asked: dict[str, str]
    """The settings that were given when it was started, by their keys, as text."""
    current: dict[str, str]
    """The same, with what operators have changed since."""
    stopped: tuple[str, ...] = ()
    """The parts that an operator has stopped."""


def save(path: Path, value: msgspec.Struct) -> None:
    """Write a file, readable by its owner only, so that a reader finds the old content or the new, never a part.

    Raises:
        SupervisorError: it can't be written.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(msgspec.json.encode(value) + b"\n")
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise SupervisorError(f"can't write {path}: {error.strerror or error}") from error


def load(path: Path, struct_type: type[Stored]) -> Stored | None:
    """Read a file; None when there is none, or when it makes no sense."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=struct_type)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def remove(path: Path) -> None:
    """Remove a file, if it is there."""
    with contextlib.suppress(OSError):
        path.unlink()
