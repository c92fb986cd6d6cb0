"""The supervisor's files: its control address and token, the processes that it has started, and the desired state.

No file proves that a process runs: the lock does that for the supervisor, and the process table for its children.
"""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TypeVar

import msgspec

from core.errors import SupervisorError
from core.file_permissions import read_own
from core.supervisor.plan import ProcessKind
from core.supervisor.processes.process_identity import ProcessIdentity

Stored = TypeVar("Stored", bound=msgspec.Struct)


class SupervisorState(msgspec.Struct, frozen=True):
    """A running supervisor, and how to reach it."""

    identity: ProcessIdentity
    control: str
    """The address of its control channel."""
    token: str
    """The token that callers must send there."""


class ChildRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A process that the supervisor has started."""

    name: str
    kind: ProcessKind = msgspec.field(name="duty")
    identity: ProcessIdentity
    spawned_at: float
    """The time at which it was started, in seconds since the epoch, by the supervisor's clock."""
    address: str = ""
    """The address that it listens on, or empty."""
    fingerprint: str = ""
    """The fingerprint of its specification."""


class ChildRecords(msgspec.Struct, frozen=True):
    """All started processes whose end the supervisor has not seen."""

    children: tuple[ChildRecord, ...] = ()


class DesiredState(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator asked to run; read by the supervisor that follows a killed one."""

    asked: dict[str, str]
    """The texts of the settings that were given at the start, by key."""
    current: dict[str, str]
    """The same with the later changes by operators."""
    stopped: tuple[str, ...] = ()
    """The names of the units that an operator has stopped."""
    token_digest: str | None = None
    """A digest of the token that clients must send, empty when they need none; None when it is not known."""


def save(path: Path, value: msgspec.Struct) -> None:
    """Replace a file atomically. Only its owner may read it.

    Raises:
        SupervisorError: the file can't be written.
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
    """Read a file. Returns None when it is missing or invalid.

    Raises:
        SupervisorError: it belongs to another user.
    """
    content = read_own(path, SupervisorError)
    if content is None:
        return None
    try:
        return msgspec.json.decode(content, type=struct_type)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def remove(path: Path) -> None:
    """Remove a file, if it exists."""
    with contextlib.suppress(OSError):
        path.unlink()
