"""The base of widgets that show a part of a long content, which may grow all the time."""

from textual.geometry import Size
from textual.scroll_view import ScrollView


class LongView(ScrollView):
    """A scroll view whose content can grow without a new layout of the screen, which takes longer than drawing."""

    def set_content_size(self, size: Size) -> None:
        """Set the size of the content. The caller draws it again."""
        before, has_bar = self.virtual_size, self.show_vertical_scrollbar
        needs_bar = size.height > self.container_size.height
        if size.width == before.width and size.height >= before.height and has_bar == needs_bar:
            self.set_reactive(LongView.virtual_size, size)
            if has_bar:
                self.vertical_scrollbar.window_virtual_size = size.height
        else:
            self.virtual_size = size
