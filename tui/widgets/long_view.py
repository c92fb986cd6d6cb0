"""What every widget is that shows a part of something long, which may grow all the time."""

from textual.geometry import Size
from textual.scroll_view import ScrollView


class LongView(ScrollView):
    """A view that may grow without the whole screen being laid out anew: that takes longer than to draw it."""

    def measures(self, size: Size) -> None:
        """Be the view of something of this size. Whoever calls it draws anew."""
        before, has_bar = self.virtual_size, self.show_vertical_scrollbar
        wants_bar = size.height > self.container_size.height
        if size.width == before.width and size.height >= before.height and has_bar == wants_bar:
            self.set_reactive(LongView.virtual_size, size)
            if has_bar:
                self.vertical_scrollbar.window_virtual_size = size.height
        else:
            self.virtual_size = size
