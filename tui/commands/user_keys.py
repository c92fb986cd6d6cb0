"""The keys that the user gives to commands in the settings file."""

import difflib
import re
from collections.abc import Mapping

from core.errors import ConfigurationError
from tui.commands.catalogue import BY_ID


def keymap(wanted: Mapping[str, object], file: str) -> dict[str, str]:
    """Check the user's keys. Returns them by the ids of commands.

    Args:
        wanted: the keys in the settings file, by the ids of commands.
        file: the name of the settings file.

    Raises:
        ConfigurationError: the command is unknown, or the key is invalid; the message names the file and the entry.
    """
    for name, key in wanted.items():
        if name not in BY_ID:
            near = difflib.get_close_matches(name, BY_ID, 1)
            hint = f"; do you mean {near[0]!r}?" if near else ""
            raise ConfigurationError(f"{file}: keys.{name!r} is not a command of the console{hint}")
        if not isinstance(key, str) or not all(_KEY.fullmatch(part.strip()) for part in key.split(",")):
            raise ConfigurationError(
                f'{file}: keys.{name!r} must be keys separated by commas, such as "f10" or "ctrl+k,K"'
            )
    return {name: str(key) for name, key in wanted.items()}


_KEY = re.compile(r"(?:(?:ctrl|shift|alt)\+)*[A-Za-z0-9_]+")
