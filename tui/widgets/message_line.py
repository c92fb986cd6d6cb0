"""A note above a table, hidden while it is empty."""

from textual.widgets import Static


class MessageLine(Static):
    """A plain text, without markup. Setting the same text again costs nothing."""

    def __init__(self) -> None:
        super().__init__(classes="note", markup=False)
        self._shown = ""

    def show_text(self, text: str) -> None:
        """Show this text; hide the line when it is empty."""
        if text != self._shown:
            self._shown = text
            self.update(text)
        self.display = bool(text)
