"""The application: its life, its looks, and nothing of what it shows."""

import asyncio
import contextlib
import logging
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
from textual.filter import LineFilter
from textual.screen import Screen

from tui import themes
from tui.commands import BY_ID, Command, Scope
from tui.control_filter import ControlFilter
from tui.dialogs.help import HelpDialog
from tui.glyphs import Plain
from tui.messages import EditRequested
from tui.palette import CommandProvider
from tui.screen import MainScreen, Maker
from tui.source import Source
from tui.system_start import Start
from tui.translations import Translations

CALM_SECONDS = 1.0
"""So long after a key nobody is taken to wait for the console."""

_log = logging.getLogger("cauce.tui")
_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Console(App[None]):
    """The console.

    Args:
        source: of everything that is shown and done.
        tr: translates the texts of the console.
        tabs: label and maker of each tab, by its id.
        first: the id of the tab to open.
        theme: its looks.
        compact: draw with less room.
        encoding: what is drawn has to keep to it; empty for a terminal that has every sign.
        keymap: other keys, by the ids of commands.
        on_change: told of a theme or density that a person has chosen, and of the tab that is open at the end.
        editor: the command of the person's own editor.
        clock: tells the time, in seconds since the epoch.
        start: starts the system, when that is wanted from the beginning.
        on_ready: called once when the console is on the screen.
        on_calm: called now and then, when no key was pressed for a moment.
        on_leaving: called with the exit code before the terminal is given back, which may take for ever: when all has
            been let go, and at once when a signal ends us.
    """

    CSS_PATH: ClassVar = sorted((Path(__file__).parent / "styles").glob("*.tcss"))
    COMMANDS: ClassVar = {CommandProvider}
    TITLE = "Cauce"
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self,
        source: Source,
        tr: Translations,
        tabs: Mapping[str, tuple[str, Maker]],
        *,
        first: str,
        theme: str = themes.DARK.name,
        compact: bool = False,
        encoding: str = "",
        keymap: Mapping[str, str] | None = None,
        on_change: Callable[[str, object], None] | None = None,
        editor: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
        start: Start | None = None,
        on_ready: Callable[[], None] | None = None,
        on_calm: Callable[[], None] | None = None,
        on_leaving: Callable[[int], None] | None = None,
    ) -> None:
        self._belt = ControlFilter()
        self._plain = Plain(encoding)
        super().__init__()
        self.tr = tr
        self._main = MainScreen(source, tr, tabs, first, clock, start)
        self._compact = compact
        self._on_change = on_change
        self._editor = tuple(editor)
        self._on_ready = on_ready
        self._on_calm = on_calm
        self._touched_at = 0.0
        self._on_leaving = on_leaving
        self._loop_to_end: asyncio.AbstractEventLoop | None = None
        self._code_to_end = 0
        """128 and the number of the signal that ends us; 0 when none has come."""
        for each in themes.THEMES:
            self.register_theme(each)
        self.theme = themes.named(theme, self.console.color_system)
        if keymap:
            self.set_keymap(dict(keymap))

    def get_default_screen(self) -> Screen[None]:
        """The one screen."""
        return self._main

    def get_line_filters(self) -> Sequence[LineFilter]:
        """The belt goes over everything that is drawn; then signs that the terminal lacks are replaced."""
        plain = [self._plain] if self._plain.enabled else []
        return [*super().get_line_filters(), self._belt, *plain]

    def get_key_display(self, binding: Binding) -> str:
        """A key's sign, or its name where the terminal lacks the sign."""
        shown = super().get_key_display(binding)
        return binding.key if self._plain.enabled and not shown.isascii() else shown

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """None but ours."""
        return ()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """What a theme that is not ours lacks: the colour of what is less important."""
        return {"dim": "#84959e"}

    def on_mount(self) -> None:
        """Begin; or end, when a signal has come before."""
        self._loop_to_end = asyncio.get_running_loop()
        if self._code_to_end:
            self.call_after_refresh(self.exit, return_code=self._code_to_end)
        self.set_class(self._compact, "-compact")
        if self._on_ready is not None:
            self.call_after_refresh(self._on_ready)
        if self._on_calm is not None:
            self.set_interval(CALM_SECONDS, self.look_for_calm)

    async def on_event(self, event: events.Event) -> None:
        """Note when a person was last at it."""
        if isinstance(event, events.InputEvent):
            self._touched_at = time.monotonic()
        await super().on_event(event)

    def look_for_calm(self) -> None:
        """Use the moment, if nobody waits for the console."""
        if self._on_calm is not None and time.monotonic() - self._touched_at > CALM_SECONDS:
            self._on_calm()

    def on_unmount(self) -> None:
        """Keep which tab was open, and what it showed."""
        for name, value in self._main.remembered.items():
            self._changed(name, value)
        if self._on_leaving is not None:
            self._on_leaving(self.return_code or 0)

    @on(EditRequested)
    def _edit(self, event: EditRequested) -> None:
        """Give the terminal to the person's editor, and take the text back."""
        if not self._editor:
            self._main.show_notification(self.tr("Set $EDITOR to the editor that you want."), trouble=True)
            return
        with tempfile.TemporaryDirectory(prefix="cauce-") as place:
            file = Path(place, "payload.txt")
            file.write_text(event.text, "utf-8")
            try:
                with self.suspend():
                    code = subprocess.run([*self._editor, str(file)], check=False).returncode  # noqa: S603 - the person's own choice
                text = file.read_text("utf-8").removesuffix("\n")
            except (OSError, UnicodeDecodeError, SuspendNotSupported) as error:
                self._main.show_notification(f"{self._editor[0]}: {error}", trouble=True)
                return
        if code == 0:
            event.done(text)

    def _fatal_error(self) -> None:
        """End after a fault. Textual would print it with the values of all variables: ours goes to the log."""
        _log.error("the console broke down", exc_info=True)
        self._close_messages_no_wait()

    @contextlib.contextmanager
    def ended_by_signals(self) -> Iterator[None]:
        """Give the terminal back when a signal ends us.

        The loop can't be told to look for signals: it may be held up by a terminal that takes nothing more.
        """
        former = {number: signal.signal(number, self._end) for number in _ENDING}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _end(self, number: int, _frame: FrameType | None) -> None:
        self._code_to_end = 128 + number
        if self._on_leaving is not None:
            self._on_leaving(self._code_to_end)
        if self._loop_to_end is not None:
            # Closed, when it ends already.
            with contextlib.suppress(RuntimeError):
                self._loop_to_end.call_soon_threadsafe(partial(self.exit, return_code=self._code_to_end))

    def action_help(self) -> None:
        """Show what the keys do that count where the focus is."""
        found: dict[Scope, list[tuple[str, Command]]] = {}
        seen = set()
        for active in self.screen.active_bindings.values():
            command = BY_ID.get(active.binding.id or "")
            if command is not None and active.enabled and command.id not in seen:
                seen.add(command.id)
                found.setdefault(command.where, []).append((self._keys_of(command), command))
        parts = sorted(found.items(), key=lambda item: item[0] is Scope.EVERYWHERE)
        self.push_screen(HelpDialog(self.tr, [(where.value, commands) for where, commands in parts]))

    def _keys_of(self, command: Command) -> str:
        keys = self._keymap.get(command.id, command.key)
        signs = {"question_mark": "?", "colon": ":", "slash": "/", "plus": "+", "minus": "-", "equals_sign": "="}
        return " ".join(signs.get(key.strip(), key.strip()) for key in keys.split(","))

    def action_next_theme(self) -> None:
        """Change to the next theme."""
        names = [theme.name for theme in themes.THEMES]
        self.theme = names[(names.index(self.theme) + 1) % len(names)]
        self._changed("theme", self.theme)

    def action_density(self) -> None:
        """Draw with more room, or with less."""
        self._compact = not self._compact
        self.set_class(self._compact, "-compact")
        self._changed("compact", self._compact)

    def _changed(self, name: str, value: object) -> None:
        if self._on_change is not None:
            self._on_change(name, value)
