"""An input field whose cursor does not blink, so that nothing is drawn while the user does not type."""

from textual.widgets import Input


class TextInput(Input):
    """An input field without a blinking cursor."""

    def on_mount(self) -> None:
        """Turn the blinking off."""
        self.cursor_blink = False
