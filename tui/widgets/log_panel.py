"""The log of one process, or of all in the order of time. It can be filtered, searched and followed."""

from collections import deque
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.widgets import Input

from core import formatting
from core.supervisor.logs.log_reading import Level, LogFilter, LogLine
from tui import commands, core_texts, display_text
from tui.log_feed import LogBatch
from tui.messages import CopyRequested
from tui.translations import Translations
from tui.widgets.panel import Panel
from tui.widgets.search_input import SearchActions, SearchInput
from tui.widgets.text_input import TextInput
from tui.widgets.text_view import MAX_LINES, StyledLine, TextView

_STYLES = {
    Level.DEBUG: "dim",
    Level.INFO: "",
    Level.WARNING: "warn",
    Level.ERROR: "bad",
    Level.CRITICAL: "bad",
}
LEVEL_NAMES = {
    Level.DEBUG: "DEBUG",
    Level.INFO: "INFO",
    Level.WARNING: "WARN",
    Level.ERROR: "ERROR",
    Level.CRITICAL: "FATAL",
}
"""The names of levels, in at most `LEVEL_WIDTH` cells."""

LEVEL_WIDTH = 5
_LEVELS = (Level.DEBUG, Level.WARNING, Level.ERROR)
MAX_LINE_LENGTH = 2000
MAX_COPIED = 2000
"""The number of lines that are copied, counted from the end."""


class LogPanel(SearchActions, Panel):
    """A panel of log lines.

    Args:
        tr: translates the texts of the console.
        id: the id of the widget.
    """

    BINDINGS: ClassVar = commands.bindings(commands.LOGS)

    def __init__(self, tr: Translations, *, id: str) -> None:
        super().__init__(id=id)
        self.tr = tr
        self.text = TextView(follow=True, wrap=False)
        self._input = TextInput(placeholder=tr("only lines with this text"))
        self._search = SearchInput(tr, self.text)
        self._lines: deque[LogLine] = deque(maxlen=MAX_LINES)
        self._filter = LogFilter()
        self._process = ""
        self._request = 0
        self._trouble = ""

    def compose(self) -> ComposeResult:
        """Compose the filter and the search, hidden at first, and the lines."""
        self._input.display = False
        yield self._input
        yield self._search
        yield self.text

    def on_mount(self) -> None:
        """Show the title."""
        self._update_title()

    def show_log_of(self, name: str) -> None:
        """Clear the panel for the log of another process, or for all logs when the name is empty."""
        self._process = name
        self._lines.clear()
        self.text.show([])
        self.text.follow_end()
        self._update_title()

    def expect(self, number: int) -> None:
        """Show the lines of the request with this number from now on."""
        self._request = number

    def add(self, news: LogBatch) -> None:
        """Show lines that were read, unless they belong to another request."""
        if news.number != self._request:
            return
        self._trouble = news.trouble
        if news.anew:
            self._lines.clear()
        self._lines.extend(news.lines)
        if news.anew:
            self._show_all()
        else:
            self.text.extend([self._line(line) for line in news.lines if self._filter.passes(line)])
        self._update_title()

    def _show_all(self) -> None:
        self.text.show([self._line(line) for line in self._lines if self._filter.passes(line)])

    def _line(self, line: LogLine) -> StyledLine:
        process = "" if self._process else f"{display_text.clean(line.process, 12):<10} "
        level = self.tr(LEVEL_NAMES[line.level]) if line.level in LEVEL_NAMES else ""
        text = display_text.clean(line.text, MAX_LINE_LENGTH)
        shown = f"{formatting.time_of_day(line.at):8} {level:{LEVEL_WIDTH}} {process}{text}"
        return shown, _STYLES.get(line.level, "") if line.level is not None else "dim"

    def _update_title(self) -> None:
        tr = self.tr
        title = tr("Log of {name}", name=self._process) if self._process else tr("All logs")
        parts = [tr.count(len(self.text.lines), "{count} line", "{count} lines")]
        if self._filter.min_level > Level.DEBUG:
            parts.append(tr("{level} and above", level=tr(LEVEL_NAMES[self._filter.min_level])))
        if self._filter.containing:
            parts.append(tr("filtered"))
        if self._search.status:
            parts.append(self._search.status)
        parts.append(tr("FOLLOWING") if self.text.follow else tr("paused, {key:logs.follow} follows"))
        if self._trouble:
            parts = [display_text.clean(core_texts.translate(self._trouble, tr), 200)]
        self.set_title(title, subtitle=" · ".join(parts))

    # Actions of the commands.

    def action_filter(self) -> None:
        """Open the filter."""
        self._input.display = True
        self._input.focus()

    @on(Input.Changed)
    def _filter_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._filter_by(event.value, self._filter.min_level)

    @on(Input.Submitted)
    def _filter_done(self, event: Input.Submitted) -> None:
        event.stop()
        self._input.display = bool(event.value)
        self.text.focus()

    def _filter_by(self, text: str, level: Level) -> None:
        self._filter = LogFilter(min_level=level, containing=text)
        self._show_all()
        self._update_title()

    @on(SearchInput.HitsChanged)
    def _hits_changed(self, event: SearchInput.HitsChanged) -> None:
        event.stop()
        self._update_title()

    def action_level(self) -> None:
        """Show only lines of the next level or above; after errors, everything."""
        index = (_LEVELS.index(self._filter.min_level) + 1) % len(_LEVELS)
        self._filter_by(self._filter.containing, _LEVELS[index])

    def action_follow(self) -> None:
        """Scroll to the end and stay there."""
        self.text.follow_end()
        self._update_title()

    def action_wrap(self) -> None:
        """Wrap long lines, or cut them."""
        self.text.set_wrap(not self.text.wrap)

    def action_copy(self) -> None:
        """Copy the last lines that are shown."""
        text = "\n".join(text for text, _ in list(self.text.lines)[-MAX_COPIED:])
        self.post_message(CopyRequested(text, self.tr("the log")))

    def action_clear(self) -> None:
        """End the search; without one, clear the filter."""
        if self._search.is_searching:
            self._search.end_search()
            return
        self._input.value = ""
        self._input.display = False
        self._filter_by("", Level.DEBUG)
        self.text.focus()
