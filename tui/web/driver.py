"""The driver of a console in a browser: Textual's own, but the console ends when the server that reads it is gone."""

import os
from functools import partial

from textual import messages
from textual.app import App
from textual.drivers.web_driver import WebDriver


class ServedDriver(WebDriver):
    """Draws the console to one pipe, and reads keys from another.

    Args:
        app: the console.
        debug: Textual's flag.
        mouse: whether to handle the mouse.
        size: columns and rows; None takes them from the environment.
    """

    def __init__(
        self, app: App[object], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._write = partial(_write_while_read, self.fileno)

    def run_input_thread(self) -> None:
        """Read keys until the pipe is closed, then end the console."""
        super().run_input_thread()
        self._app.post_message(messages.ExitApp())


def _write_while_read(fileno: int, drawn: bytes) -> int:
    try:
        return os.write(fileno, drawn)
    except BrokenPipeError:
        return len(drawn)
