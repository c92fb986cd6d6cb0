"""What a running system tells the programs in its directory: the settings that they share with it, and its addresses.

Its supervisor writes a file that only its owner may read, because the URL of a broker holds a password.
The file proves nothing: the system runs as long as one of the processes in it does.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from core import process_identity
from core.errors import ConfigurationError
from core.file_permissions import read_own
from core.process_identity import ProcessIdentity

FILE = Path(".cauce") / "system.json"
"""The file, in the directory of the system."""


class RunningSystem(msgspec.Struct, frozen=True, kw_only=True):
    """A running system, as settings: texts by key."""

    processes: tuple[ProcessIdentity, ...] = ()
    """The supervisor and the processes that it has started."""
    settings: Mapping[str, str] = {}
    """The settings that it was started with. They go before those of the settings file, which is for its next start."""
    access: tuple[Mapping[str, str], ...] = ()
    """How clients reach it, in groups: first the addresses, then the encryption.

    A group is for those who give none of its settings themselves, nor any of the groups before it.
    """


NONE = RunningSystem()


def find(directory: Path) -> RunningSystem:
    """Return the system that runs in a directory, or `NONE`.

    Raises:
        ConfigurationError: the file belongs to another user.
    """
    content = read_own(directory / FILE, ConfigurationError)
    if content is None:
        return NONE
    try:
        system = msgspec.json.decode(content, type=RunningSystem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return NONE
    return system if any(map(process_identity.is_alive, system.processes)) else NONE
