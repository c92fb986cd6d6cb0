"""The commands of the command palette."""

from collections.abc import Iterable

from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widget import Widget

from tui.commands import ALL, BY_ID, TABS, Command
from tui.translations import Translations


class CommandProvider(Provider):
    """Finds the commands of all parts of all tabs by name, those at the focus first."""

    async def discover(self) -> Hits:
        """Yield all commands, before anything is typed."""
        for runner in self._available():
            command = runner.command
            yield DiscoveryHit(self._name(command), runner, help=self._tr(command.help))

    async def search(self, query: str) -> Hits:
        """Yield the commands whose name matches."""
        matcher = self.matcher(query)
        for runner in self._available():
            command = runner.command
            name = self._name(command)
            score = max(matcher.match(name), matcher.match(command.label))
            if score > 0:
                yield Hit(score, matcher.highlight(name), runner, help=self._tr(command.help))

    @property
    def _tr(self) -> Translations:
        tr = getattr(self.screen, "tr", None)
        return tr if isinstance(tr, Translations) else Translations()

    def _name(self, command: Command) -> str:
        return f"{self._tr(command.where)}: {self._tr(command.label)}"

    def _available(self) -> Iterable["CommandRunner"]:
        """Yield a runner for each command that can run now, or in another tab."""
        seen = set()
        for runner in (*self._at_focus(), *self._elsewhere(), *self._in_other_tabs()):
            if runner.command.id not in seen:
                seen.add(runner.command.id)
                yield runner

    def _at_focus(self) -> Iterable["CommandRunner"]:
        for active in self.screen.active_bindings.values():
            command = BY_ID.get(active.binding.id or "")
            if command is not None and active.enabled:
                yield CommandRunner(self.screen, command, active.node)

    def _elsewhere(self) -> Iterable["CommandRunner"]:
        for node in self.screen.walk_children(Widget, with_self=True):
            for command in _commands_of(node):
                if _is_shown(node) and node.check_action(_method_of(command), ()):
                    yield CommandRunner(self.screen, command, node)

    def _in_other_tabs(self) -> Iterable["CommandRunner"]:
        """Yield the commands of the tabs that the screen can open: none while a dialog covers it."""
        ways = {runner.command.action: runner for runner in self._at_focus()}
        for command in ALL:
            way = ways.get(f"show_tab('{TABS.get(command.where)}')")
            if way is not None and self.screen.check_action(_method_of(command), ()):
                yield TabCommandRunner(self.screen, command, way)


def _commands_of(node: DOMNode) -> Iterable[Command]:
    """Return the commands that a part of the screen has itself."""
    names = (binding.id or "" for binding in node.BINDINGS if isinstance(binding, Binding))
    return [BY_ID[name] for name in names if name in BY_ID]


def _method_of(command: Command) -> str:
    return command.action.partition("(")[0]


def _is_shown(node: Widget) -> bool:
    """Return whether a part is in the open tab."""
    return all(each.display for each in node.ancestors_with_self if isinstance(each, Widget))


class CommandRunner:
    """Runs one command when it is called.

    Args:
        screen: the screen on which the palette was opened.
        command: the command.
        node: the part of the screen that runs it.
    """

    def __init__(self, screen: Screen[object], command: Command, node: DOMNode | None) -> None:
        self.screen = screen
        self.command = command
        self._node = node

    async def __call__(self) -> None:
        """Run the command."""
        if self._node is not None:
            await self.screen.app.run_action(self.command.action, self._node)


class TabCommandRunner(CommandRunner):
    """Goes to the part of another tab that has a command, and runs it there.

    A command of a row is not run: nobody has seen yet which row it is.

    Args:
        screen: the screen on which the palette was opened.
        command: the command.
        way: opens the tab.
    """

    def __init__(self, screen: Screen[object], command: Command, way: CommandRunner) -> None:
        super().__init__(screen, command, None)
        self._way = way

    async def __call__(self) -> None:
        """Open the tab, focus the part, and run the command unless it is one of a row."""
        await self._way()
        nodes = self.screen.walk_children(Widget, with_self=True)
        part = next(node for node in nodes if self.command in _commands_of(node) and _is_shown(node))
        target = next((each for each in self.screen.focus_chain if part in each.ancestors_with_self), None)
        if target is not None:
            target.focus()
        if not self.command.of_row:
            await self.screen.app.run_action(self.command.action, part)
