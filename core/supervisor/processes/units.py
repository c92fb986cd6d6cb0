"""All parts of one system, by name and in order."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from core.addresses import Address
from core.errors import SupervisorError
from core.supervisor.plan import START_STAGES, ProcessKind, ProcessSpec, number_of
from core.supervisor.processes.unit import Unit

_GROUPS = {
    "servers": frozenset({ProcessKind.SERVER}),
    "workers": frozenset({ProcessKind.WORKER}),
    "declared": frozenset({ProcessKind.DECLARED}),
    "all": frozenset(ProcessKind),
}
"""Names that stand for several parts."""

_PLACES = {kind: place for place, kind in enumerate(kind for stage in START_STAGES for kind in stage)}


class Units:
    """The parts.

    Args:
        make: makes a part of its specification.
    """

    def __init__(self, make: Callable[[ProcessSpec], Unit]) -> None:
        self._make = make
        self._parts: list[Unit] = []

    def __iter__(self) -> Iterator[Unit]:
        return iter(self._parts)

    def add(self, spec: ProcessSpec) -> Unit:
        """Take in a part; it does not run yet."""
        part = self._make(spec)
        self._parts.append(part)
        self._parts.sort(key=lambda each: (_PLACES[each.spec.kind], number_of(each.name), each.name))
        return part

    def remove(self, part: Unit) -> None:
        """Forget a part, which has ended."""
        self._parts.remove(part)

    def of(self, *kinds: ProcessKind) -> list[Unit]:
        """The parts of one of these kinds."""
        return [part for part in self._parts if part.spec.kind in kinds]

    def find(self, names: Sequence[str]) -> list[Unit]:
        """The parts of these names, in order, each once; `servers`, `workers`, `declared` and `all` are names too.

        Raises:
            SupervisorError: there is no part of a name; names those that there are.
        """
        found: list[Unit] = []
        for name in names:
            group = _GROUPS.get(name)
            parts = self.of(*group) if group is not None else [part for part in self._parts if part.name == name]
            if not parts and group is None:
                known = ", ".join(part.name for part in self._parts) or "none"
                raise SupervisorError(f"there is no process {_shown(name)}; there are: {known}")
            found += parts
        return [part for part in self._parts if part in found]

    @property
    def server_addresses(self) -> list[Address]:
        """Where the servers listen that are to run."""
        return addresses(part for part in self.of(ProcessKind.SERVER) if part.wanted)

    @property
    def entrance(self) -> Address | None:
        """Where clients connect; None without any server."""
        for part in self.of(ProcessKind.NGINX):
            return part.spec.address
        found = addresses(self.of(ProcessKind.SERVER))
        return found[0] if found else None


def addresses(parts: Iterable[Unit]) -> list[Address]:
    """Where these listen."""
    return [part.spec.address for part in parts if part.spec.address is not None]


def _shown(name: str) -> str:
    return name if re.fullmatch(r"[\w.-]{1,40}", name) else repr(name[:40])
