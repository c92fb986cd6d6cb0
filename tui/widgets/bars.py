"""The lines around the tabs: what runs, the ledger, the tabs themselves, and the keys of the part with the focus."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.content import Content, Span
from textual.message import Message
from textual.widget import Widget

from core import __version__, formatting
from tui import display_text
from tui.commands import BY_ID
from tui.translations import Translations
from tui.view import EMPTY, Health, View

_LIGHTS = {
    Health.READY: ("●", "light--ready"),
    Health.STARTING: ("◐", "light--waiting"),
    Health.STOPPING: ("◑", "light--waiting"),
    Health.TROUBLED: ("▲", "light--trouble"),
    Health.EMPTY: ("○", "light--empty"),
    Health.UNKNOWN: ("○", "light--empty"),
}
_MOST_KEYS = 7
_PLACES = {name: place for place, name in enumerate(BY_ID)}


class _ViewLine(Widget):
    """One line that is a function of the view."""

    def __init__(self, tr: Translations, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.tr = tr
        self.view = EMPTY
        self._drawn: tuple[str, Sequence[Span]] = ("", ())

    def show(self, view: View) -> None:
        """Draw this moment, if it looks any different."""
        self.view = view
        line = self.render()
        drawn = (line.plain, line.spans)
        if drawn != self._drawn:
            self._drawn = drawn
            self.refresh()

    @abstractmethod
    def render(self) -> Content:
        """The line."""


class Header(_ViewLine):
    """What runs, and how it is."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "header--name",
        "header--dim",
        "light--ready",
        "light--waiting",
        "light--trouble",
        "light--empty",
        "header--frozen",
    }
    frozen = False
    read_only = False
    note = ""
    """How far something is that takes long."""

    def render(self) -> Content:
        """Name and light on the left, surroundings on the right as far as there is room for them."""
        view, tr = self.view, self.tr
        sign, style = _LIGHTS[view.light]
        left: list[tuple[str, str]] = [
            (" Cauce", "header--name"),
            (f" {__version__}  ", "header--dim"),
            (f"{sign} {tr(view.light)}", style),
        ]
        if self.note:
            left.append((f"  {self.note}", "header--frozen"))
        if view.troubles:
            left.append((f"  {display_text.clean(view.troubles[0], 200)}", "light--trouble"))
        if self.frozen:
            left.append((f"  {tr('FROZEN')}", "header--frozen"))
        if self.read_only:
            left.append((f"  {tr('read only')}", "header--dim"))
        return self._spread(left, self._around())

    def _around(self) -> list[str]:
        view = self.view
        told = [view.broker, view.database, view.directory]
        return [display_text.clean(text, 60) for text in told if text]

    def _spread(self, left: Sequence[tuple[str, str]], right: list[str]) -> Content:
        clock = formatting.time_of_day(self.view.now) if self.view.now else ""
        used = sum(cell_len(text) for text, _ in left) + cell_len(clock) + 2
        while right and used + sum(cell_len(text) + 3 for text in right) > self.size.width:
            right.pop()
        tail = " · ".join([*right, clock] if clock else right) + " "
        room = self.size.width - sum(cell_len(text) for text, _ in left) - cell_len(tail)
        parts = [(text, self.get_visual_style(style)) for text, style in left]
        if room < 0:
            return Content.assemble(*parts).truncate(self.size.width, ellipsis=True)
        dim = self.get_visual_style("header--dim")
        return Content.assemble(*parts, (" " * room, dim), (tail, dim))


class LedgerLine(_ViewLine):
    """Where every task is: the books in one line."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"ledger--label", "ledger--number", "ledger--failed", "ledger--rate"}

    def render(self) -> Content:
        """Numbers and what they count; words are left out where there is no room."""
        for brief in range(4):
            line = self._line(brief)
            if line.cell_length <= self.size.width:
                return line
        return line.truncate(self.size.width, ellipsis=True)

    def _line(self, brief: int) -> Content:
        view, tr = self.view, self.tr
        ledger, snapshot = view.ledger, view.snapshot
        label, number = self.get_visual_style("ledger--label"), self.get_visual_style("ledger--number")
        failed, rate = self.get_visual_style("ledger--failed"), self.get_visual_style("ledger--rate")
        say = formatting.count if brief == 0 else formatting.short
        waiting = ledger.waiting + ledger.queued + ledger.retrying
        counts = [
            (ledger.total, tr("accepted"), number),
            (waiting, tr("waiting"), number),
            (ledger.running, tr("running"), number),
            (ledger.done, tr("done|many"), number),
            (ledger.failed, tr("failed|many"), failed if ledger.failed else number),
        ]
        if brief > 2:
            counts = [each for each in counts if each[1] != tr("running")]
        if ledger.cancelled and brief < 2:
            counts.append((ledger.cancelled, tr("cancelled|many"), number))
        parts: list[object] = [(" ", label)]
        for place, (count, name, style) in enumerate(counts):
            gap = "" if place == 0 else "  " if brief < 2 else " "
            parts += [(gap, label), (say(count), style), (f" {name}", label)]
        if brief > 2:
            return Content.assemble(*parts)  # type: ignore[arg-type]  # pairs of text and style
        parts += [
            ("   ↓" if brief < 2 else "  ↓", label),
            (f"{formatting.rate(snapshot.rate_in)}/s", rate),
            (" ↑", label),
            (f"{formatting.rate(snapshot.rate_out)}/s", rate),
        ]
        if brief == 0 and snapshot.depth is not None and snapshot.depth.dead:
            parts += [("  ", label), (f"{snapshot.depth.dead:,}", failed), (f" {tr('dead letters')}", label)]
        return Content.assemble(*parts)  # type: ignore[arg-type]  # pairs of text and style


class TabBar(Widget):
    """The tabs by number.

    Args:
        tabs: their ids and labels.
        id: of the widget.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"tabs--tab", "tabs--active", "tabs--number", "tabs--count"}

    class Chosen(Message):
        """A tab was clicked."""

        def __init__(self, tab: str) -> None:
            super().__init__()
            self.tab = tab

    def __init__(self, tabs: Sequence[tuple[str, str]], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._tabs = tuple(tabs)
        self._counts: dict[str, int] = {}
        self._active = tabs[0][0]

    def show(self, active: str) -> None:
        """Show which tab is open."""
        self._active = active
        self.refresh()

    def count(self, tab: str, number: int) -> None:
        """Show a number beside a tab's name; none for 0."""
        if self._counts.get(tab, 0) != number:
            self._counts[tab] = number
            self.refresh()

    def render(self) -> Content:
        """The tabs in a line."""
        parts: list[Content] = []
        for number, (tab, label) in enumerate(self._tabs, 1):
            active = tab == self._active
            name = self.get_visual_style("tabs--active" if active else "tabs--tab")
            sign = self.get_visual_style("tabs--active" if active else "tabs--number")
            count = self._counts.get(tab, 0)
            each = [Content.styled(f" {number} ", sign), Content.styled(f"{label} ", name)]
            if count:
                style = self.get_visual_style("tabs--active" if active else "tabs--count")
                each.append(Content.styled(f"{formatting.short(count)} ", style))
            parts.append(Content("").join(each))
        return Content(" ").join([Content(""), *parts])

    def on_click(self, event: events.Click) -> None:
        """Open the tab that was clicked."""
        end = 1
        for tab, label in self._tabs:
            count = self._counts.get(tab, 0)
            end += cell_len(f" 1 {label} ") + (cell_len(formatting.short(count)) + 1 if count else 0) + 1
            if event.x < end:
                self.post_message(self.Chosen(tab))
                return


class KeyBar(Widget):
    """The keys of the part that has the focus: one widget, however many keys."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"keys--key", "keys--label"}

    def __init__(self, tr: Translations, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._tr = tr
        self._places: list[tuple[int, int, str]] = []

    def on_mount(self) -> None:
        """Draw anew when other keys count."""
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self.refresh())

    def render(self) -> Content:
        """Key and label, as many as there is room for; those of everywhere come last."""
        key_style, label_style = self.get_visual_style("keys--key"), self.get_visual_style("keys--label")
        shown = self._shown()
        parts: list[tuple[str, object]] = []
        self._places = []
        used = 0
        for key, label, action in shown:
            length = cell_len(key) + cell_len(label) + 4
            if used + length > self.size.width:
                break
            self._places.append((used, used + length, action))
            parts += [(f" {key} ", key_style), (f"{label}  ", label_style)]
            used += length
        return Content.assemble(*parts)  # type: ignore[arg-type]  # pairs of text and style

    def _shown(self) -> list[tuple[str, str, str]]:
        found: dict[str, tuple[str, str, str]] = {}
        for active in self.screen.active_bindings.values():
            binding = active.binding
            command = BY_ID.get(binding.id or "")
            if command is None or not command.footer or not active.enabled or command.id in found:
                continue
            key = self.app.get_key_display(binding)
            found[command.id] = (key, self._tr(command.label), command.id)
        # A key of one's own changes the order in which Textual has them: the parts as they are, each in our order.
        parts = list(dict.fromkeys(BY_ID[name].where for name in found))
        names = sorted(found, key=lambda name: (parts.index(BY_ID[name].where), _PLACES[name]))
        own = [found[name] for name in names if not name.startswith("app.")]
        common = [found[name] for name in names if name.startswith("app.")]
        return [*own[: _MOST_KEYS - len(common)], *common]

    async def on_click(self, event: events.Click) -> None:
        """Do what the key that was clicked does."""
        for begin, end, command_id in self._places:
            if begin <= event.x < end:
                for active in self.screen.active_bindings.values():
                    if active.binding.id == command_id:
                        await self.app.run_action(active.binding.action, active.node)
                        return
