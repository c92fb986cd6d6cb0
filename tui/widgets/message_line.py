"""A line or two of what there is to say; away while there is nothing. Saying the same again costs nothing."""

from textual.widgets import Static


class MessageLine(Static):
    """Plain text: nothing of it is taken for markup."""

    def __init__(self) -> None:
        super().__init__(classes="note", markup=False)
        self._said = ""

    def say(self, text: str) -> None:
        """Say this from now on."""
        if text != self._said:
            self._said = text
            self.update(text)
        self.display = bool(text)
