"""A check box whose states differ by a sign, and not only by a colour."""

from textual.content import Content
from textual.widgets import Checkbox


class CheckBox(Checkbox):
    """A check box with a cross when it is ticked, and empty otherwise."""

    def render(self) -> Content:
        """Return the box and its label."""
        self.BUTTON_INNER = "X" if self.value else " "
        return super().render()
