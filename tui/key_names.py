"""The keys of commands, as the user has set them, and as texts write them."""

import re
from collections.abc import Callable, Iterable, Mapping

from textual.binding import Binding, BindingType

from tui.commands import BY_ID

_SIGNS = {"question_mark": "?", "colon": ":", "slash": "/", "plus": "+", "minus": "-", "equals_sign": "="}
_FUNCTION_KEY = re.compile(r"f\d+")


class KeyNames:
    """The keys of commands.

    In a text that is formatted with it as `key`, `{key:app.up}` stands for the first key of the command `app.up`.

    Args:
        keymap: the user's keys, by the ids of commands.
    """

    def __init__(self, keymap: Mapping[str, str] | None = None) -> None:
        self.keymap: Mapping[str, str] = dict(keymap or {})

    def of(self, command_id: str) -> str:
        """Return the first key of a command."""
        keys = self.keymap.get(command_id, BY_ID[command_id].key)
        return written(keys.partition(",")[0].strip())

    def __format__(self, command_id: str) -> str:
        """Return the first key of a command."""
        return self.of(command_id)


def written(key: str) -> str:
    """Return a key as a text writes it."""
    *modifiers, last = key.split("+")
    name = last.upper() if modifiers or _FUNCTION_KEY.fullmatch(last) else _SIGNS.get(last, last)
    return "+".join([*(each.capitalize() for each in modifiers), name.capitalize() if len(name) > 2 else name])


def hint(bindings: Iterable[BindingType], tr: Callable[[str], str]) -> str:
    """Return the first key of each binding that is shown, with its name: `Escape Close   y Copy`."""
    shown = (binding for binding in bindings if isinstance(binding, Binding) and binding.show)
    return "   ".join(f"{written(each.key.partition(',')[0])} {tr(each.description)}" for each in shown)
