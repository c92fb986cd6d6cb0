"""What draws a console for a browser: Textual's own way, but it ends when the server that reads it has gone."""

import os
from functools import partial

from textual import messages
from textual.app import App
from textual.drivers.web_driver import WebDriver


class ServedDriver(WebDriver):
    """Draws to a pipe, and takes keys from another.

    Args:
        app: the console.
        debug: Textual's.
        mouse: whether there is one.
        size: columns and rows; what the environment says when None.
    """

    def __init__(
        self, app: App[object], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._write = partial(_write_while_read, self.fileno)

    def run_input_thread(self) -> None:
        """Take keys until there will be none: then nobody is there, or the console ends already."""
        super().run_input_thread()
        self._app.post_message(messages.ExitApp())


def _write_while_read(fileno: int, drawn: bytes) -> int:
    try:
        return os.write(fileno, drawn)
    except BrokenPipeError:
        return len(drawn)
