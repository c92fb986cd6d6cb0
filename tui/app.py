"""The application: its start and end, themes and keys. The screen knows what is shown."""

import asyncio
import contextlib
import logging
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import ClassVar

from textual import events, on
from textual.app import App, SuspendNotSupported, SystemCommand
from textual.binding import Binding
from textual.command import CommandPalette
from textual.filter import LineFilter
from textual.screen import Screen

from core.errors import reason_of
from tui import themes
from tui.commands import APP, BY_ID, Command, Scope, bindings
from tui.control_filter import ControlFilter
from tui.dialogs.help import HelpDialog
from tui.glyphs import GlyphFilter
from tui.messages import EditRequested
from tui.palette import CommandProvider
from tui.screen import MainScreen, TabFactory
from tui.source import Source
from tui.system_start import Start
from tui.translations import Translations

IDLE_SECONDS = 1.0
"""Seconds without input after which the console is idle."""

KEY_NAMES = frozenset({"space", "enter"})
"""Names of keys that differ between languages."""

_FUNCTION_KEY = re.compile(r"f\d+")
_log = logging.getLogger("cauce.tui")
_STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


def _has_shell() -> bool:
    """Return whether a shell with job control has started the console: only such a shell makes a group of its own."""
    return os.name == "posix" and os.getpgrp() != os.getsid(0)


class Console(App[None]):
    """The console.

    Args:
        source: reads and controls the system.
        tr: translates the texts of the console, and has the keys of commands.
        tabs: the label and the factory of each tab, by its id.
        first: the id of the tab to open.
        theme: the name of the theme.
        compact: whether to draw with less space.
        encoding: the encoding to which the drawing is limited; empty for a terminal that has every glyph.
        on_change: takes the name and the value of a choice to restore the next time: theme and density when they
            change, the open tab at the end.
        editor: the command of the user's editor.
        clock: gives the time, in seconds since the epoch.
        start: starts the system as soon as the console is open; None starts nothing.
        on_ready: called once when the console is on the screen.
        when_idle: called now and then while there is no input.
        on_exit: takes the exit code before the terminal is restored, which may block for ever. Called when everything
            is closed, and also at once when a signal ends the console.
    """

    BINDINGS: ClassVar = bindings(APP)
    CSS_PATH: ClassVar = sorted((Path(__file__).parent / "styles").glob("*.tcss"))
    COMMANDS: ClassVar = {CommandProvider}
    TITLE = "Cauce"
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self,
        source: Source,
        tr: Translations,
        tabs: Mapping[str, tuple[str, TabFactory]],
        *,
        first: str,
        theme: str = themes.DARK.name,
        compact: bool = False,
        encoding: str = "",
        on_change: Callable[[str, object], None] | None = None,
        editor: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
        start: Start | None = None,
        on_ready: Callable[[], None] | None = None,
        when_idle: Callable[[], None] | None = None,
        on_exit: Callable[[int], None] | None = None,
    ) -> None:
        self._control_filter = ControlFilter()
        self._glyph_filter = GlyphFilter(encoding)
        super().__init__()
        self.tr = tr
        self._main = MainScreen(source, tr, tabs, first, clock, start)
        self._compact = compact
        self._on_change = on_change
        self._editor = tuple(editor)
        self._on_ready = on_ready
        self._when_idle = when_idle
        self._last_input_at = 0.0
        self._on_exit = on_exit
        self._event_loop: asyncio.AbstractEventLoop | None = None
        self._signal_exit_code = 0
        """128 plus the number of the signal that ends the console; 0 without one."""
        for each in themes.THEMES:
            self.register_theme(each)
        self.theme = themes.resolve(theme, self.console.color_system)
        self.set_keymap(dict(tr.keys.keymap))

    def get_default_screen(self) -> Screen[None]:
        """Return the main screen."""
        return self._main

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Filter control characters from everything drawn, and then replace the glyphs that the terminal lacks."""
        glyphs = [self._glyph_filter] if self._glyph_filter.enabled else []
        return [*super().get_line_filters(), self._control_filter, *glyphs]

    def get_key_display(self, binding: Binding) -> str:
        """Return the sign of a key, or its name when the terminal lacks the sign."""
        shown = super().get_key_display(binding)
        return binding.key if self._glyph_filter.enabled and not shown.isascii() else self._key_name(shown)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Return no commands: the palette shows only our own."""
        return ()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Return the colours that some themes lack: of less important text, and of every other row of a table."""
        return {name: themes.DARK.variables[name] for name in ("dim", "stripe")}

    def on_mount(self) -> None:
        """Prepare the console, or exit when a signal has already come."""
        self._event_loop = asyncio.get_running_loop()
        # The terminal is empty after a suspension.
        self.app_resume_signal.subscribe(self, lambda _: self.refresh(layout=True))
        if self._signal_exit_code:
            self.call_after_refresh(self.exit, return_code=self._signal_exit_code)
        self.set_class(self._compact, "-compact")
        if self._on_ready is not None:
            self.call_after_refresh(self._on_ready)
        if self._when_idle is not None:
            self.set_interval(IDLE_SECONDS, self.use_idle_moment)

    async def on_event(self, event: events.Event) -> None:
        """Note the time of the last input."""
        if isinstance(event, events.InputEvent):
            self._last_input_at = time.monotonic()
        await super().on_event(event)

    def use_idle_moment(self) -> None:
        """Call `when_idle` if the console is idle."""
        if self._when_idle is not None and time.monotonic() - self._last_input_at > IDLE_SECONDS:
            self._when_idle()

    def on_unmount(self) -> None:
        """Store which tab is open, and call `on_exit`."""
        self._changed("tab", self._main.tab_name)
        if self._on_exit is not None:
            self._on_exit(self.return_code or 0)

    @on(EditRequested)
    def _edit(self, event: EditRequested) -> None:
        """Suspend the console while the user's editor runs, and take the edited text."""
        if not self._editor:
            self._main.show_notification(self.tr("Set $EDITOR to your editor."), trouble=True)
            return
        with tempfile.TemporaryDirectory(prefix="cauce-") as directory:
            file = Path(directory, "payload.txt")
            file.write_text(event.text, "utf-8")
            try:
                with self.suspend():
                    code = subprocess.run([*self._editor, str(file)], check=False).returncode  # noqa: S603 - the user's own choice
                text = file.read_text("utf-8").removesuffix("\n")
            except (OSError, UnicodeDecodeError, SuspendNotSupported) as error:
                self._main.show_notification(f"{self._editor[0]}: {reason_of(error)}", trouble=True)
                return
        if code == 0:
            event.done(text)

    def _fatal_error(self) -> None:
        """Log a fault and end the console. Textual would print the fault with the values of all variables."""
        _log.error("the console broke down", exc_info=True)
        self._close_messages_no_wait()

    @contextlib.contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        """Restore the terminal when a signal ends the console.

        The event loop does not run the handlers: a terminal that accepts no more output may block the loop.
        """
        former_handlers = {number: signal.signal(number, self._stop_by_signal) for number in _STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in former_handlers.items():
                signal.signal(number, handler)

    def _stop_by_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signal_exit_code = 128 + number
        if self._on_exit is not None:
            self._on_exit(self._signal_exit_code)
        if self._event_loop is not None:
            # The loop is closed when the console has ended already.
            with contextlib.suppress(RuntimeError):
                self._event_loop.call_soon_threadsafe(partial(self.exit, return_code=self._signal_exit_code))

    def action_command_palette(self) -> None:
        """Show the command palette."""
        if not isinstance(self.screen, CommandPalette):
            self.push_screen(CommandPalette(placeholder=self.tr("Search for commands …")))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable the suspension where nothing could continue the console."""
        if action == "suspend":
            return self._driver is not None and self._driver.can_suspend and _has_shell()
        return super().check_action(action, parameters)

    def action_suspend(self) -> None:
        """Suspend the console and the programs around it, such as `make`, as Ctrl+Z does to other programs.

        Not during a job: it could hold the journal's lock, for which the whole system would wait.
        """
        if self._main.is_busy:
            self._main.show_notification(
                self.tr("A job is running: suspend later, or {key:app.cancel} cancels it."), trouble=True
            )
            return
        self.app_suspend_signal.publish(self)
        os.kill(0, signal.SIGTSTP)

    def action_help(self) -> None:
        """Show the keys that work at the focus."""
        available: dict[Scope, list[tuple[str, Command]]] = {}
        seen = set()
        for active in self.screen.active_bindings.values():
            command = BY_ID.get(active.binding.id or "")
            if command is not None and active.enabled and command.id not in seen:
                seen.add(command.id)
                available.setdefault(command.where, []).append((self._keys_of(command), command))
        parts = sorted(available.items(), key=lambda item: item[0] is Scope.EVERYWHERE)
        self.push_screen(HelpDialog(self.tr, [(where.value, commands) for where, commands in parts]))

    def _keys_of(self, command: Command) -> str:
        keys = self._keymap.get(command.id, command.key)
        signs = {"question_mark": "?", "colon": ":", "slash": "/", "plus": "+", "minus": "-", "equals_sign": "="}
        return " ".join(signs.get(key, self._key_name(key)) for key in map(str.strip, keys.split(",")))

    def _key_name(self, key: str) -> str:
        """Return the name of a key as the keyboard and the language write it."""
        if _FUNCTION_KEY.fullmatch(key):
            return key.upper()
        return self.tr(key) if key in KEY_NAMES else key

    def action_next_theme(self) -> None:
        """Change to the next theme."""
        names = [theme.name for theme in themes.THEMES]
        self.theme = names[(names.index(self.theme) + 1) % len(names)]
        self._changed("theme", self.theme)

    def action_density(self) -> None:
        """Switch between a roomy and a compact layout."""
        self._compact = not self._compact
        self.set_class(self._compact, "-compact")
        self._changed("compact", self._compact)

    def _changed(self, name: str, value: object) -> None:
        if self._on_change is not None:
            self._on_change(name, value)
