"""A part of a tab with a border that has a title, and a subtitle with counts and states."""

from textual.containers import Vertical
from textual.content import Content

from tui import commands


class Panel(Vertical):
    """A container whose border is bright while the focus is within."""

    read_only = False
    """Whether the console changes nothing; the tab sets it."""
    _shown_titles = ("", "")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """In a read-only console, disable the commands that change the system."""
        return commands.is_allowed(action, read_only=self.read_only)

    def set_title(self, title: str, *, subtitle: str = "") -> None:
        """Set both titles, as plain texts without markup."""
        if (title, subtitle) != self._shown_titles:
            self._shown_titles = (title, subtitle)
            self.border_title = Content(title)
            self.border_subtitle = Content(subtitle)
