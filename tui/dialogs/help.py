"""The help for the focused part of the screen, made from its commands."""

import textwrap
from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.commands import Command
from tui.key_names import hint
from tui.translations import Translations
from tui.widgets.text_view import StyledLine, TextView

_GAP = 2
"""Blanks after a column."""

_LEAST_TEXT = 20
"""Cells that a sentence has at least."""

MOVES = (
    ("↑ ↓  j k", "Move up or down."),
    ("PgUp PgDn", "Move a page up or down."),
    ("Home End  g G", "Go to the first or the last row."),
    ("← →  h l", "Scroll to the left or the right."),
    ("Tab  Shift+Tab", "Go to the next or the previous part of the screen."),
)


class HelpDialog(ModalScreen[None]):
    """The sheet with the keys and what they do.

    Args:
        tr: translates the texts of the console.
        sections: the title and the commands of each part of the screen, with the keys that they have now.
    """

    BINDINGS: ClassVar = [Binding("escape,q,question_mark,f1", "close", "Close")]

    def __init__(self, tr: Translations, sections: Sequence[tuple[str, Sequence[tuple[str, Command]]]]) -> None:
        super().__init__()
        self.tr = tr
        self._sections = sections
        self._text = TextView(id="text")
        entries = [entry for _, commands in sections for entry in commands]
        keys = [*(key for key, _ in entries), *(tr(keys) for keys, _ in MOVES)]
        self._key_width = _GAP + max(map(cell_len, keys))
        self._label_width = _GAP + max((cell_len(tr(command.label)) for _, command in entries), default=0)

    def compose(self) -> ComposeResult:
        """Compose the text, and the key that closes it."""
        with Vertical(classes="sheet") as sheet:
            yield self._text
            yield Static(f"{hint(self.BINDINGS, self.tr)}   {self.tr('↑↓ scroll')}", classes="hint", markup=False)
        sheet.border_title = Content(self.tr("Help"))

    def on_mount(self) -> None:
        """Focus the text, for scrolling."""
        self._text.focus()

    def on_resize(self, event: events.Resize) -> None:
        """Write the text for this width."""
        lines: list[StyledLine] = []
        start = "".ljust(2 + self._key_width + self._label_width)
        for title, commands in self._sections:
            lines += [("", ""), (self.tr(title), "heading")]
            for key, command in commands:
                lines += self._entry(key, self.tr(command.label), self.tr(command.help))
                if command.line:
                    lines.append((f"{start}$ {command.line}", "dim"))
        lines += [("", ""), (self.tr("In every table"), "heading")]
        for keys, effect in MOVES:
            lines += self._entry(self.tr(keys), "", self.tr(effect))
        self._text.show(lines[1:])

    def _entry(self, key: str, label: str, text: str) -> list[StyledLine]:
        """Return the lines of a command: its key, its label, and the wrapped sentence."""
        start = f"  {set_cell_size(key, self._key_width)}{set_cell_size(label, self._label_width)}"
        width = max(_LEAST_TEXT, self._text.scrollable_content_region.width - cell_len(start) - 1)
        first, *rest = textwrap.wrap(text, width) or [""]
        return [(f"{start}{first}", ""), *((f"{'':<{cell_len(start)}}{line}", "") for line in rest)]

    def action_close(self) -> None:
        """Close the sheet."""
        self.dismiss()
