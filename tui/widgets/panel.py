"""A part of a tab with a border: its title says what it is, its subtitle how much of it there is."""

from textual.containers import Vertical
from textual.content import Content

from tui import commands


class Panel(Vertical):
    """The border is bright when the focus is within."""

    _titled = ("", "")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A console that only looks has not got the commands that change something."""
        return commands.allowed(action, read_only=getattr(self.screen, "read_only", False))

    def titled(self, title: str, *, count: str = "") -> None:
        """Say what it is; neither is taken for markup."""
        if (title, count) != self._titled:
            self._titled = (title, count)
            self.border_title = Content(title)
            self.border_subtitle = Content(count)
