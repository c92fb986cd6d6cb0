"""A line to write in, whose cursor does not blink: it draws nothing while nobody writes."""

from textual.widgets import Input


class TextInput(Input):
    """See the module's description."""

    def on_mount(self) -> None:
        """Keep the cursor calm."""
        self.cursor_blink = False
