"""A part of a tab with a border: its title says what it is, its subtitle how much of it there is."""

from textual.containers import Vertical
from textual.content import Content


class Panel(Vertical):
    """The border is bright when the focus is within."""

    def titled(self, title: str, *, count: str = "") -> None:
        """Say what it is; neither is taken for markup."""
        self.border_title = Content(title)
        self.border_subtitle = Content(count)
