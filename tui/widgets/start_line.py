"""The progress of a system start, above the tabs: the units, those it waits for, or the reason why it failed."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.content import Content
from textual.widget import Widget

from core.supervisor.status import UnitState, UnitStatus
from tui import core_texts, display_text
from tui.translations import Translations
from tui.view import StartView

MAX_REASON_LINES = 6
"""Lines of the reason that are shown: the last ones, which are the most specific."""

_SIGNS = {
    UnitState.WAITING: ("○", "start--waiting"),
    UnitState.READY: ("●", "start--ready"),
    UnitState.TROUBLED: ("▲", "start--bad"),
    UnitState.RESTARTING: ("▲", "start--bad"),
    UnitState.CRASHED: ("✖", "start--bad"),
}


class StartLine(Widget):
    """The progress of a start, shown while it is under way and after it has failed.

    Args:
        tr: translates the texts of the console.
        read_only: whether this console cannot start the system again.
        id: the id of the widget.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "start--head",
        "start--ready",
        "start--starting",
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
        """Show the progress, or hide the line when there is none."""
        self.start = start
        self.display = start.under_way or bool(start.trouble)
        self.refresh(layout=True)

    def on_click(self) -> None:
        """Hide the failure."""
        if self.start.trouble:
            self.show(StartView())

    def render(self) -> Content:
        """Return a line for the system, and below it the units, or the reason."""
        return self._failure() if self.start.trouble else self._progress()

    def _progress(self) -> Content:
        units = self.start.parts
        late = [unit for unit in units if unit.state not in {UnitState.READY, UnitState.STOPPED}]
        head = self.tr("Starting the system …")
        if late:
            head = self.tr("Starting: waiting for {names}", names=_names_of(late))
        lines = [
            self._styled(f"◐ {head}", "start--head"),
            Content("  ").join(self._sign(unit) for unit in units),
            self._styled(self._notes(late), "start--waiting"),
        ]
        return Content("\n").join(line.truncate(self.content_size.width, ellipsis=True) for line in lines)

    def _sign(self, unit: UnitStatus) -> Content:
        sign, style = _SIGNS.get(unit.state, ("◐", "start--starting"))
        return self._styled(f"{sign} {display_text.clean(unit.name, 20)}", style)

    def _failure(self) -> Content:
        tr = self.tr
        reason = core_texts.translate(self.start.trouble, tr)
        lines = display_text.clean_lines(reason, tr, longest=300)[-MAX_REASON_LINES:]
        if self._read_only:
            advice = tr("Fix this, then start the system again.")
        else:
            advice = tr(
                "Fix this, then press {key:app.up} to start again. The supervisor's log is on tab {key:app.processes}."
            )
        return Content("\n").join(
            [
                self._styled(f"▲ {tr('The system could not be started:')}", "start--bad"),
                *(self._styled(line, "start--head") for line in lines),
                self._styled(advice, "start--waiting"),
            ]
        )

    def _notes(self, units: Sequence[UnitStatus]) -> str:
        """Return the notes of the units, each once, with the names of all that have it."""
        texts = []
        for note in dict.fromkeys(unit.note for unit in units if unit.note not in {"", unit.state}):
            names = _names_of(unit for unit in units if unit.note == note)
            texts.append(f"{names}: {display_text.clean(core_texts.translate(note, self.tr), 200)}")
        return " · ".join(texts)

    def _styled(self, text: str, style: str) -> Content:
        return Content.styled(text, self.get_visual_style(style))


def _names_of(units: Iterable[UnitStatus]) -> str:
    return ", ".join(display_text.clean(unit.name, 20) for unit in units)
