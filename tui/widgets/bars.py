"""The lines around the tabs: the state of the system, the ledger, the tabs, and the keys of the focused part."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.content import Content, Span
from textual.message import Message
from textual.widget import Widget

from core import __version__, formatting
from tui import core_texts, display_text
from tui.commands import BY_ID, Scope
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
_MAX_KEYS = 7
_ORDER = {name: index for index, name in enumerate(BY_ID)}


class _ViewLine(Widget):
    """One line that is drawn from the view."""

    def __init__(self, tr: Translations, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.tr = tr
        self.view = EMPTY
        self._drawn: tuple[str, Sequence[Span]] = ("", ())

    def show(self, view: View) -> None:
        """Draw the view, if the line looks any different."""
        self.view = view
        line = self.render()
        drawn = (line.plain, line.spans)
        if drawn != self._drawn:
            self._drawn = drawn
            self.refresh()

    @abstractmethod
    def render(self) -> Content:
        """Return the line."""


class Header(_ViewLine):
    """The name and the state of the system, and where it runs."""

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
    """The progress of long operations."""

    def render(self) -> Content:
        """Return the name and the state at the left, and at the right as much of the location as fits."""
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
            trouble = core_texts.describe(view.troubles[0], tr)
            left.append((f"  {display_text.clean(trouble, 200)}", "light--trouble"))
        if self.frozen:
            left.append((f"  {tr('FROZEN')}", "header--frozen"))
        if self.read_only:
            left.append((f"  {tr('read only')}", "header--dim"))
        return self._justified(left, self._location())

    def _location(self) -> list[str]:
        view = self.view
        broker = core_texts.translate(view.broker, self.tr)
        return [display_text.clean(text, 60) for text in (broker, view.database, view.directory) if text]

    def _justified(self, left: Sequence[tuple[str, str]], right: list[str]) -> Content:
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
    """The ledger in one line, with the rates and dead letters."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"ledger--label", "ledger--number", "ledger--failed", "ledger--rate"}

    def render(self) -> Content:
        """Return the most detailed line that fits."""
        for brevity in range(4):
            line = self._line(brevity)
            if line.cell_length <= self.size.width:
                return line
        return line.truncate(self.size.width, ellipsis=True)

    def _line(self, brevity: int) -> Content:
        view, tr = self.view, self.tr
        ledger, snapshot = view.ledger, view.snapshot
        label, number = self.get_visual_style("ledger--label"), self.get_visual_style("ledger--number")
        failed, rate = self.get_visual_style("ledger--failed"), self.get_visual_style("ledger--rate")
        number_format = tr.amount if brevity == 0 else tr.short
        waiting = ledger.waiting + ledger.queued + ledger.retrying
        counts = [
            (ledger.total, tr("accepted|many"), number),
            (waiting, tr("waiting"), number),
            (ledger.running, tr("running"), number),
            (ledger.done, tr("done|many"), number),
            (ledger.failed, tr("failed|many"), failed if ledger.failed else number),
        ]
        if brevity > 2:
            counts = [entry for entry in counts if entry[1] != tr("running")]
        if ledger.cancelled and brevity < 2:
            counts.append((ledger.cancelled, tr("cancelled|many"), number))
        parts: list[object] = [(" ", label)]
        for index, (count, name, style) in enumerate(counts):
            gap = "" if index == 0 else "  " if brevity < 2 else " "
            parts += [(gap, label), (number_format(count), style), (f" {name}", label)]
        if brevity > 2:
            return Content.assemble(*parts)  # type: ignore[arg-type]  # pairs of text and style
        parts += [
            ("   ↓" if brevity < 2 else "  ↓", label),
            (f"{tr.rate(snapshot.rate_in)}/s", rate),
            (" ↑", label),
            (f"{tr.rate(snapshot.rate_out)}/s", rate),
        ]
        if brevity == 0 and snapshot.depth is not None and snapshot.depth.dead:
            parts += [("  ", label), (tr.amount(snapshot.depth.dead), failed), (f" {tr('dead letters')}", label)]
        return Content.assemble(*parts)  # type: ignore[arg-type]  # pairs of text and style


class TabBar(Widget):
    """The tabs, each with a key that opens it from where the focus is: in a field, digits are typed.

    Args:
        tabs: the id and the label of each tab.
        id: the id of the widget.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"tabs--tab", "tabs--active", "tabs--number", "tabs--count"}

    class TabSelected(Message):
        """Posted when a tab is clicked."""

        def __init__(self, tab: str) -> None:
            super().__init__()
            self.tab = tab

    def __init__(self, tabs: Sequence[tuple[str, str]], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._tabs = tuple(tabs)
        self._counts: dict[str, str] = {}
        self._active = tabs[0][0]
        self._spans: list[tuple[int, str]] = []

    def on_mount(self) -> None:
        """Redraw when other keys are active."""
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self.refresh())

    def show(self, active: str) -> None:
        """Highlight the open tab."""
        self._active = active
        self.refresh()

    def set_count(self, tab: str, count: str) -> None:
        """Show a number beside the label of a tab, or nothing when it is empty."""
        if self._counts.get(tab, "") != count:
            self._counts[tab] = count
            self.refresh()

    def render(self) -> Content:
        """Return the tabs in a line, without blanks around them if it is too short."""
        keys = self._keys()
        line = self._line(keys, " ")
        return line if line.cell_length <= self.size.width else self._line(keys, "")

    def _keys(self) -> dict[str, str]:
        """Return the first active key of each tab, as it is shown."""
        keys: dict[str, str] = {}
        for active in self.screen.active_bindings.values():
            command, binding = BY_ID.get(active.binding.id or ""), active.binding
            if command is not None and command.where is Scope.EVERYWHERE and active.enabled:
                keys.setdefault(command.action, self.app.get_key_display(binding))
        return {tab: keys.get(f"show_tab('{tab}')", "") for tab, _ in self._tabs}

    def _line(self, keys: Mapping[str, str], blank: str) -> Content:
        parts: list[Content] = [Content("")]
        self._spans = []
        end = 1
        for tab, label in self._tabs:
            active = tab == self._active
            name = self.get_visual_style("tabs--active" if active else "tabs--tab")
            sign = self.get_visual_style("tabs--active" if active else "tabs--number")
            count = self._counts.get(tab, "")
            texts = [Content.styled(f"{blank}{keys[tab]} ", sign), Content.styled(f"{label}{blank}", name)]
            if count:
                style = self.get_visual_style("tabs--active" if active else "tabs--count")
                texts.append(Content.styled(f"{'' if blank else ' '}{count}{blank}", style))
            part = Content("").join(texts)
            parts.append(part)
            end += part.cell_length + 1
            self._spans.append((end, tab))
        return Content(" ").join(parts)

    def on_click(self, event: events.Click) -> None:
        """Open the tab that was clicked."""
        for end, tab in self._spans:
            if event.x < end:
                self.post_message(self.TabSelected(tab))
                return


class KeyBar(Widget):
    """The keys of the focused part, in one widget, however many there are."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"keys--key", "keys--label"}

    def __init__(self, tr: Translations, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._tr = tr
        self._spans: list[tuple[int, int, str]] = []

    def on_mount(self) -> None:
        """Redraw when other keys are active."""
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self.refresh())

    def render(self) -> Content:
        """Return keys and labels, as many as fit; the global ones come last."""
        key_style, label_style = self.get_visual_style("keys--key"), self.get_visual_style("keys--label")
        shown = self._shown()
        parts: list[tuple[str, object]] = []
        self._spans = []
        used = 0
        for key, label, action in shown:
            length = cell_len(key) + cell_len(label) + 4
            if used + length > self.size.width:
                break
            self._spans.append((used, used + length, action))
            parts += [(f" {key} ", key_style), (f"{label}  ", label_style)]
            used += length
        return Content.assemble(*parts)  # type: ignore[arg-type]  # pairs of text and style

    def _shown(self) -> list[tuple[str, str, str]]:
        entries: dict[str, tuple[str, str, str]] = {}
        for active in self.screen.active_bindings.values():
            binding = active.binding
            command = BY_ID.get(binding.id or "")
            if command is None or not command.footer or not active.enabled or command.id in entries:
                continue
            key = self.app.get_key_display(binding)
            entries[command.id] = (key, self._tr(command.label), command.id)
        # A key that the user has changed comes elsewhere in Textual's order: sort each part as the commands are listed.
        parts = list(dict.fromkeys(BY_ID[name].where for name in entries))
        names = sorted(entries, key=lambda name: (parts.index(BY_ID[name].where), _ORDER[name]))
        local = [entries[name] for name in names if not name.startswith("app.")]
        common = [entries[name] for name in names if name.startswith("app.")]
        return [*local[: _MAX_KEYS - len(common)], *common]

    async def on_click(self, event: events.Click) -> None:
        """Run the command of the key that was clicked."""
        for begin, end, command_id in self._spans:
            if begin <= event.x < end:
                for active in self.screen.active_bindings.values():
                    if active.binding.id == command_id:
                        await self.app.run_action(active.binding.action, active.node)
                        return
