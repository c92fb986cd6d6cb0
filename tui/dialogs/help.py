"""The help of the part that has the focus, made of its commands."""

import textwrap
from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.commands import Command
from tui.translations import Translations
from tui.widgets.text_view import Line, TextView

_KEY = 16
_LABEL = 14
MOVES = (
    ("↑ ↓  j k", "Up and down."),
    ("PgUp PgDn", "A page up, a page down."),
    ("Home End  g G", "The first, the last."),
    ("← →  h l", "What is farther left or right."),
    ("Tab  Shift+Tab", "The next part of the screen, the one before."),
)


class HelpDialog(ModalScreen[None]):
    """The sheet.

    Args:
        tr: translates the texts of the console.
        parts: what has commands, with its keys as they are: title, and key and command of each.
    """

    BINDINGS: ClassVar = [Binding("escape,q,question_mark,f1", "close", "Close")]

    def __init__(self, tr: Translations, parts: Sequence[tuple[str, Sequence[tuple[str, Command]]]]) -> None:
        super().__init__()
        self.tr = tr
        self._parts = parts
        self._text = TextView(id="text")

    def compose(self) -> ComposeResult:
        """The text, and the key that closes it."""
        with Vertical(classes="sheet") as sheet:
            yield self._text
            yield Static(self.tr("escape close   ↑↓ scroll"), classes="hint", markup=False)
        sheet.border_title = Content(self.tr("Help"))

    def on_mount(self) -> None:
        """Write the text."""
        self._text.focus()

    def on_resize(self, event: events.Resize) -> None:
        """Write it for this width."""
        told: list[Line] = []
        for title, commands in self._parts:
            told += [("", ""), (self.tr(title), "heading")]
            for key, command in commands:
                told += self._entry(key, self.tr(command.label), self.tr(command.help))
                if command.line:
                    told.append((f"{'':<{_KEY + _LABEL + 2}}$ {command.line}", "dim"))
        told += [("", ""), (self.tr("In every table"), "heading")]
        for keys, what in MOVES:
            told += self._entry(keys, "", self.tr(what))
        self._text.show(told[1:])

    def _entry(self, key: str, label: str, text: str) -> list[Line]:
        """A key, what it is called, and a sentence that is broken between words."""
        begin = f"  {key:<{_KEY}}{label:<{_LABEL}}" if label else f"  {key:<{_KEY + _LABEL}}"
        width = max(20, self._text.scrollable_content_region.width - len(begin) - 1)
        first, *rest = textwrap.wrap(text, width) or [""]
        return [(f"{begin}{first}", ""), *((f"{'':<{len(begin)}}{line}", "") for line in rest)]

    def action_close(self) -> None:
        """Go back."""
        self.dismiss()
