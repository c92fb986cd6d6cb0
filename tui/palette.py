"""The commands of the command palette."""

from collections.abc import Iterable

from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.dom import DOMNode
from textual.widget import Widget

from tui.commands import BY_ID, Command
from tui.translations import Translations


class CommandProvider(Provider):
    """Finds the commands of all parts of the screen by name, those at the focus first."""

    async def discover(self) -> Hits:
        """Yield all commands, before anything is typed."""
        for command, node in self._available():
            yield DiscoveryHit(self._name(command), self._runner(command, node), help=self._tr(command.help))

    async def search(self, query: str) -> Hits:
        """Yield the commands whose name matches."""
        matcher = self.matcher(query)
        for command, node in self._available():
            name = self._name(command)
            score = max(matcher.match(name), matcher.match(command.label))
            if score > 0:
                yield Hit(score, matcher.highlight(name), self._runner(command, node), help=self._tr(command.help))

    @property
    def _tr(self) -> Translations:
        tr = getattr(self.screen, "tr", None)
        return tr if isinstance(tr, Translations) else Translations()

    def _name(self, command: Command) -> str:
        return f"{self._tr(command.where)}: {self._tr(command.label)}"

    def _available(self) -> Iterable[tuple[Command, DOMNode]]:
        """Yield each command that can run now, with the part of the screen that runs it."""
        seen = set()
        for command, node in (*self._at_focus(), *self._elsewhere()):
            if command.id not in seen:
                seen.add(command.id)
                yield command, node

    def _at_focus(self) -> Iterable[tuple[Command, DOMNode]]:
        for active in self.screen.active_bindings.values():
            command = BY_ID.get(active.binding.id or "")
            if command is not None and active.enabled:
                yield command, active.node

    def _elsewhere(self) -> Iterable[tuple[Command, DOMNode]]:
        for node in self.screen.walk_children(Widget, with_self=True):
            for binding in node.BINDINGS:
                command = BY_ID.get(binding.id or "") if isinstance(binding, Binding) else None
                if command is not None and _is_shown(node) and node.check_action(command.action.partition("(")[0], ()):
                    yield command, node

    def _runner(self, command: Command, node: DOMNode) -> "CommandRunner":
        return CommandRunner(self, command, node)


def _is_shown(node: Widget) -> bool:
    """Return whether a part is in the open tab."""
    return all(each.display for each in node.ancestors_with_self if isinstance(each, Widget))


class CommandRunner:
    """Runs one command when it is called."""

    def __init__(self, provider: Provider, command: Command, node: DOMNode) -> None:
        self._provider = provider
        self.command = command
        self._node = node

    async def __call__(self) -> None:
        """Run the command."""
        await self._provider.app.run_action(self.command.action, self._node)
