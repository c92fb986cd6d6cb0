"""A part of a tab with a border: its title says what it is, its subtitle how much of it there is."""

from textual.containers import Vertical
from textual.content import Content

from tui import commands


class Panel(Vertical):
    """The border is bright when the focus is within."""

    read_only = False
    """Whether the console changes nothing; the tab sets it."""
    _titled = ("", "")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable the commands that change something in a read-only console."""
        return commands.is_allowed(action, read_only=self.read_only)

    def titled(self, title: str, *, count: str = "") -> None:
        """Say what it is; neither is taken for markup."""
        if (title, count) != self._titled:
            self._titled = (title, count)
            self.border_title = Content(title)
            self.border_subtitle = Content(count)
