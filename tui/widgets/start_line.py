"""How far a start of the system is, above the tabs: which parts are ready, which it waits for, or why it failed."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.content import Content
from textual.widget import Widget

from core.supervisor.status import UnitState, UnitStatus
from tui import display_text
from tui.translations import Translations
from tui.view import StartView

MOST_LINES = 6
"""Of the reason why it failed: the last ones tell most."""

_SIGNS = {
    UnitState.WAITING: ("○", "start--waiting"),
    UnitState.READY: ("●", "start--ready"),
    UnitState.TROUBLED: ("▲", "start--bad"),
    UnitState.RESTARTING: ("▲", "start--bad"),
    UnitState.CRASHED: ("✖", "start--bad"),
}


class StartLine(Widget):
    """Is only there while a start is under way, and after one that failed.

    Args:
        tr: translates the texts of the console.
        read_only: whether this console could not start the system anew.
        id: of the widget.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "start--head",
        "start--ready",
        "start--coming",
        "start--waiting",
        "start--bad",
    }

    def __init__(self, tr: Translations, *, read_only: bool, id: str | None = None) -> None:
        super().__init__(id=id)
        self.tr = tr
        self._read_only = read_only
        self.start = StartView()
        self.display = False

    def show(self, start: StartView) -> None:
        """Show how far it is."""
        self.start = start
        self.display = start.under_way or bool(start.trouble)
        self.refresh(layout=True)

    def on_click(self) -> None:
        """Go away, once a failure was read."""
        if self.start.trouble:
            self.show(StartView())

    def render(self) -> Content:
        """A line for the whole, and below it the parts, or the reason."""
        return self._failed() if self.start.trouble else self._coming()

    def _coming(self) -> Content:
        parts = self.start.parts
        late = [part for part in parts if part.state not in {UnitState.READY, UnitState.STOPPED}]
        told = self.tr("Starting the system …")
        if late:
            told = self.tr("Starting: waiting for {names}", names=_named(late))
        lines = [
            self._styled(f"◐ {told}", "start--head"),
            Content("  ").join(self._sign(part) for part in parts),
            self._styled(_notes(late), "start--waiting"),
        ]
        return Content("\n").join(line.truncate(self.content_size.width, ellipsis=True) for line in lines)

    def _sign(self, part: UnitStatus) -> Content:
        sign, style = _SIGNS.get(part.state, ("◐", "start--coming"))
        return self._styled(f"{sign} {display_text.clean(part.name, 20)}", style)

    def _failed(self) -> Content:
        tr = self.tr
        reason = display_text.clean_lines(self.start.trouble, longest=300)[-MOST_LINES:]
        if self._read_only:
            what = tr("Mend it, and start the system once more.")
        else:
            what = tr("Mend it, and press u to start once more. Tab 3 has the supervisor's log.")
        return Content("\n").join(
            [
                self._styled(f"▲ {tr('The system could not be started:')}", "start--bad"),
                *(self._styled(line, "start--head") for line in reason),
                self._styled(what, "start--waiting"),
            ]
        )

    def _styled(self, text: str, style: str) -> Content:
        return Content.styled(text, self.get_visual_style(style))


def _named(parts: Iterable[UnitStatus]) -> str:
    return ", ".join(display_text.clean(part.name, 20) for part in parts)


def _notes(parts: Sequence[UnitStatus]) -> str:
    """What is noted of those that are late, the same of several once."""
    notes = dict.fromkeys(part.note for part in parts if part.note not in {"", part.state})
    told = [f"{_named(part for part in parts if part.note == note)}: {display_text.clean(note, 200)}" for note in notes]
    return " · ".join(told)
