"""The logs of one process, or of all in the order of time: in colour, filtered, searched, followed to the end."""

from collections import deque
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.widgets import Input

from core import formatting
from core.supervisor.logs.log_reading import Level, LogFilter, LogLine
from tui import commands, display_text
from tui.log_feed import LogBatch
from tui.messages import CopyRequested
from tui.translations import Translations
from tui.widgets.panel import Panel
from tui.widgets.search_input import SearchInput
from tui.widgets.text_input import TextInput
from tui.widgets.text_view import MOST_LINES, Line, TextView

_STYLES = {
    Level.DEBUG: "dim",
    Level.INFO: "",
    Level.WARNING: "warn",
    Level.ERROR: "bad",
    Level.CRITICAL: "bad",
}
_NAMES = {
    Level.DEBUG: "DEBUG",
    Level.INFO: "INFO",
    Level.WARNING: "WARN",
    Level.ERROR: "ERROR",
    Level.CRITICAL: "FATAL",
}
_LEVELS = (Level.DEBUG, Level.WARNING, Level.ERROR)
LONGEST = 2000
MOST_COPIED = 2000


class LogPanel(Panel):
    """Shows lines of logs.

    Args:
        tr: translates the texts of the console.
        id: of the widget.
    """

    BINDINGS: ClassVar = commands.bindings(commands.LOGS)

    def __init__(self, tr: Translations, *, id: str) -> None:
        super().__init__(id=id)
        self.tr = tr
        self.text = TextView(follow=True, wrap=False)
        self._input = TextInput(placeholder=tr("only lines that hold this"))
        self._search = SearchInput(tr, self.text)
        self._lines: deque[LogLine] = deque(maxlen=MOST_LINES)
        self._filter = LogFilter()
        self._whose = ""
        self._number = 0
        self._trouble = ""

    def compose(self) -> ComposeResult:
        """The filter and the search, hidden at first; the lines."""
        self._input.display = False
        yield self._input
        yield self._search
        yield self.text

    def on_mount(self) -> None:
        """Say what it is."""
        self._title_it()

    def choose(self, name: str) -> None:
        """Say whose log is shown; empty for all."""
        self._whose = name
        self._lines.clear()
        self.text.show([])
        self.text.set_follow()
        self._title_it()

    def choosing(self, number: int) -> None:
        """The lines of a choice of this number are on their way."""
        self._number = number

    def take(self, news: LogBatch) -> None:
        """Take in lines; what belongs to another choice is passed by."""
        if news.number != self._number:
            return
        self._trouble = news.trouble
        if news.anew:
            self._lines.clear()
        self._lines.extend(news.lines)
        if news.anew:
            self._show_all()
        else:
            self.text.extend([self._line(line) for line in news.lines if self._filter.passes(line)])
        self._title_it()

    def _show_all(self) -> None:
        self.text.show([self._line(line) for line in self._lines if self._filter.passes(line)])

    def _line(self, line: LogLine) -> Line:
        who = "" if self._whose else f"{display_text.clean(line.process, 12):<10} "
        level = _NAMES.get(line.level, "") if line.level is not None else ""
        text = f"{formatting.time_of_day(line.at):8} {level:5} {who}{display_text.clean(line.text, LONGEST)}"
        return text, _STYLES.get(line.level, "") if line.level is not None else "dim"

    def _title_it(self) -> None:
        tr = self.tr
        title = tr("Log of {name}", name=self._whose) if self._whose else tr("All logs")
        told = [tr.count(len(self.text.lines), "{count} line", "{count} lines")]
        if self._filter.min_level > Level.DEBUG:
            told.append(tr("{level} and worse", level=self._filter.min_level.name.lower()))
        if self._filter.containing:
            told.append(tr("filtered"))
        if self._search.told:
            told.append(self._search.told)
        told.append(tr("FOLLOWING") if self.text.follow else tr("at rest, f follows"))
        if self._trouble:
            told = [display_text.clean(self._trouble, 200)]
        self.titled(title, count=" · ".join(told))

    # What the commands do.

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
        self._title_it()

    def action_search(self) -> None:
        """Ask what the lines are searched for."""
        self._search.begin()

    def action_next_hit(self) -> None:
        """Go to the next hit."""
        self._search.step(forward=True)

    def action_previous_hit(self) -> None:
        """Go to the hit before."""
        self._search.step(forward=False)

    @on(SearchInput.Searched)
    def _searched(self, event: SearchInput.Searched) -> None:
        event.stop()
        self._title_it()

    def action_level(self) -> None:
        """Show only what is grave, or everything."""
        place = (_LEVELS.index(self._filter.min_level) + 1) % len(_LEVELS)
        self._filter_by(self._filter.containing, _LEVELS[place])

    def action_follow(self) -> None:
        """Go to the end, and stay there."""
        self.text.set_follow()
        self._title_it()

    def action_wrap(self) -> None:
        """Break long lines, or cut them."""
        self.text.set_wrap(not self.text.wrap)

    def action_copy(self) -> None:
        """Copy the last lines that are shown."""
        text = "\n".join(text for text, _ in list(self.text.lines)[-MOST_COPIED:])
        self.post_message(CopyRequested(text, self.tr("the log")))

    def action_clear(self) -> None:
        """End the search; without one, show every line again."""
        if self._search.searching:
            self._search.end()
            return
        self._input.value = ""
        self._input.display = False
        self._filter_by("", Level.DEBUG)
        self.text.focus()
