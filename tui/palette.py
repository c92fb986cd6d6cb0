"""The commands of the command palette."""

from collections.abc import Iterable

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.dom import DOMNode

from tui.commands import BY_ID, Command
from tui.translations import Translations


class CommandProvider(Provider):
    """Finds the commands that are available at the focus, by name."""

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
        seen = set()
        for active in self.screen.active_bindings.values():
            command = BY_ID.get(active.binding.id or "")
            if command is not None and active.enabled and command.id not in seen:
                seen.add(command.id)
                yield command, active.node

    def _runner(self, command: Command, node: DOMNode) -> "CommandRunner":
        return CommandRunner(self, command, node)


class CommandRunner:
    """Runs one command when it is called."""

    def __init__(self, provider: Provider, command: Command, node: DOMNode) -> None:
        self._provider = provider
        self._command = command
        self._node = node

    async def __call__(self) -> None:
        """Run the command."""
        await self._provider.app.run_action(self._command.action, self._node)
