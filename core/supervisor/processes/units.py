"""All units of one system, in the order of their start."""

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
"""Names that stand for several units."""

_ORDER = {kind: place for place, kind in enumerate(kind for stage in START_STAGES for kind in stage)}


class Units:
    """The units of one system.

    Args:
        make_unit: makes a unit from its specification.
    """

    def __init__(self, make_unit: Callable[[ProcessSpec], Unit]) -> None:
        self._make_unit = make_unit
        self._units: list[Unit] = []

    def __iter__(self) -> Iterator[Unit]:
        return iter(self._units)

    def add(self, spec: ProcessSpec) -> Unit:
        """Add a unit. It does not run yet."""
        unit = self._make_unit(spec)
        self._units.append(unit)
        self._units.sort(key=lambda each: (_ORDER[each.spec.kind], number_of(each.name), each.name))
        return unit

    def remove(self, unit: Unit) -> None:
        """Remove a unit whose process has ended."""
        self._units.remove(unit)

    def of(self, *kinds: ProcessKind) -> list[Unit]:
        """Return the units of these kinds."""
        return [unit for unit in self._units if unit.spec.kind in kinds]

    def find(self, names: Sequence[str]) -> list[Unit]:
        """Return the named units in order, each once. `servers`, `workers`, `declared` and `all` stand for several.

        Raises:
            SupervisorError: no unit has one of the names; the message lists the names that exist.
        """
        found: list[Unit] = []
        for name in names:
            group = _GROUPS.get(name)
            named = self.of(*group) if group is not None else [unit for unit in self._units if unit.name == name]
            if not named and group is None:
                known = ", ".join(unit.name for unit in self._units) or "none"
                raise SupervisorError(f"there is no process {_printable(name)}; there are: {known}")
            found += named
        return [unit for unit in self._units if unit in found]

    @property
    def server_addresses(self) -> list[Address]:
        """The addresses of the servers that are to run."""
        return addresses(unit for unit in self.of(ProcessKind.SERVER) if unit.wanted)

    @property
    def client_address(self) -> Address | None:
        """The address that clients connect to, or None without a server."""
        for unit in self.of(ProcessKind.NGINX):
            return unit.spec.address
        servers = addresses(self.of(ProcessKind.SERVER))
        return servers[0] if servers else None


def addresses(units: Iterable[Unit]) -> list[Address]:
    """Return the addresses that these units listen on."""
    return [unit.spec.address for unit in units if unit.spec.address is not None]


def _printable(name: str) -> str:
    return name if re.fullmatch(r"[\w.-]{1,40}", name) else repr(name[:40])
