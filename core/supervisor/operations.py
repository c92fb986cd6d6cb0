"""The operations of the supervisor, each a generator that its main loop advances step by step.

Several operations can be under way at once, and none delays the restart of what dies.
An operation that can't go on raises `SupervisorError`.
"""

import logging
import time
from collections.abc import Callable, Generator, Sequence
from typing import TypeAlias

from core.addresses import Address
from core.callbacks import ignore
from core.errors import CauceError, SupervisorError
from core.supervisor.nginx.balancer import Balancer
from core.supervisor.plan import START_STAGES, STOP_ORDER, Planner, ProcessKind, number_of
from core.supervisor.processes.stopping import StopTimeout
from core.supervisor.processes.unit import Unit
from core.supervisor.processes.units import Units, addresses
from core.supervisor.status import UnitState

Steps: TypeAlias = Generator[None, None, None]

RABBITMQ_START_TIMEOUT = 90.0
"""Seconds that a RabbitMQ node has to become ready, at least: it starts slowly."""

MAX_MOVES = 3
"""How often a server gets another port because another program has taken its own since it was chosen."""

_log = logging.getLogger("cauce.supervisor")

_DOWN = frozenset({UnitState.STOPPED, UnitState.CRASHED})


class Operations:
    """The operations on the units of one system.

    Args:
        units: the units.
        planner: makes the specifications of further units.
        balancer: writes NGINX's configuration; None without NGINX.
        choose_address: returns an address for a server, given its name and the addresses that are taken.
        holder_of: returns which process holds an address, or an empty string when it is free.
        prepare_broker: makes the queues, once the private broker is ready.
        on_stopped: called when units have been stopped.
        start_timeout: seconds that units started together have to become ready.
        stop_timeout: seconds that a process has to end before it is killed.
        clock: a monotonic clock.
    """

    def __init__(
        self,
        units: Units,
        planner: Planner,
        balancer: Balancer | None,
        *,
        choose_address: Callable[[str, Sequence[Address]], Address],
        holder_of: Callable[[Address], str],
        prepare_broker: Callable[[], None],
        on_stopped: Callable[[Sequence[Unit]], None] = ignore,
        start_timeout: float,
        stop_timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._units = units
        self._planner = planner
        self._balancer = balancer
        self._choose_address = choose_address
        self._holder_of = holder_of
        self._prepare_broker = prepare_broker
        self._on_stopped = on_stopped
        self._start_timeout = start_timeout
        self._stop_timeout = stop_timeout
        self._clock = clock
        self._restarting: set[Unit] = set()

    @property
    def stopped(self) -> list[str]:
        """The names of the units that operators have stopped, without those that are being restarted."""
        return [unit.name for unit in self._units if not unit.wanted and unit not in self._restarting]

    def bring_up(self, *, lenient: bool = False) -> Steps:
        """Start all units that are wanted, stage after stage, and wait until they are ready.

        Args:
            lenient: whether to log a failure and go on, because some units run already.
        """
        wanted = [unit for unit in self._units if unit.wanted]
        for stage in START_STAGES:
            try:
                if ProcessKind.SERVER in stage:
                    self._prepare_broker()
                yield from self._start([unit for unit in wanted if unit.spec.kind in stage])
            except CauceError as error:
                if not lenient:
                    raise
                _log.warning("%s", error)

    def start(self, names: Sequence[str]) -> Steps:
        """Start the named units, and wait until they are ready."""
        units = self._units.find(names)
        for stage in START_STAGES:
            yield from self._start([unit for unit in units if unit.spec.kind in stage])
            if ProcessKind.SERVER in stage:
                self.update_nginx()

    def stop(self, names: Sequence[str], timeout: StopTimeout | None = None) -> Steps:
        """Stop the named units. What still runs when its time is over is killed."""
        yield from self._stop(self._units.find(names), timeout)

    def restart(self, names: Sequence[str], timeout: StopTimeout | None = None) -> Steps:
        """Stop and start the named units one after the other, so that the others go on working."""
        for unit in self._units.find(names):
            self._restarting.add(unit)
            unit.stop(self._stop_timeout_of(unit, timeout), self._clock())
            yield from self._wait_until_down([unit])
            if unit not in self._restarting:
                raise SupervisorError(f"{unit.name} was stopped before it was started again")
            self._restarting.remove(unit)
            yield from self._start([unit])

    def kill(self, names: Sequence[str]) -> Steps:
        """End the named units' processes as a crash would. They are restarted automatically."""
        for unit in self._units.find(names):
            former = unit.process
            unit.kill()
            while former is not None and unit.process is former:
                yield

    def scale(self, servers: int | None, workers: int | None) -> Steps:
        """Run that many servers and workers: add units and wait until they are ready, or stop the last ones.

        NGINX never sends a connection to a server that refuses it: an added server is ready before NGINX uses it,
        and a surplus one stops once NGINX no longer uses it.
        """
        if servers == 0 and self._balancer is not None:
            raise SupervisorError("NGINX needs at least one server to send connections to")
        before = self._units.of(ProcessKind.SERVER)
        added = [*self._missing(ProcessKind.SERVER, servers), *self._missing(ProcessKind.WORKER, workers)]
        surplus = [*self._surplus(ProcessKind.SERVER, servers), *self._surplus(ProcessKind.WORKER, workers)]
        try:
            yield from self._start(added)
            self.update_nginx()
            if any(unit.spec.kind is ProcessKind.SERVER for unit in added):
                for unit in before:
                    unit.rebalance()
            yield from self._stop(surplus)
        finally:
            for unit in (*added, *surplus):
                if unit.process is None and not unit.wanted and unit in list(self._units):
                    self._units.remove(unit)

    # The building blocks.

    def _start(self, units: Sequence[Unit]) -> Steps:
        for unit in units:
            if unit.spec.kind is ProcessKind.NGINX:
                self.update_nginx()
            unit.start()
        timeout = max((self._start_timeout_of(unit) for unit in units), default=0.0)
        deadline = self._clock() + timeout
        moves = 0
        while not all(unit.start_completed for unit in units):
            for unit in units:
                if not unit.wanted:
                    raise SupervisorError(f"{unit.name} was stopped before it was ready")
                if unit.start_failure:
                    moves += self._retry_elsewhere(unit, MAX_MOVES - moves)
            if self._clock() > deadline:
                late = next(unit for unit in units if not unit.start_completed)
                raise SupervisorError(late.describe_failure(f"was not ready within {timeout:g} seconds"))
            yield

    def _retry_elsewhere(self, unit: Unit, moves_left: int) -> int:
        """Retry a failed start on another address, if the address was the reason. Returns the number of moves."""
        if moves_left > 0 and self._move(unit):
            return 1
        raise SupervisorError(unit.start_failure)

    def _move(self, unit: Unit) -> bool:
        """Start a server on another port when another program holds its own. Returns whether it has moved."""
        address = unit.spec.address
        if unit.spec.kind is not ProcessKind.SERVER or address is None or not self._holder_of(address):
            return False
        others = addresses(other for other in self._units if other is not unit)
        new_address = self._choose_address(unit.name, [*others, address])
        unit.spec = self._planner.server(number_of(unit.name), new_address)
        unit.start()
        return True

    def _stop(self, units: Sequence[Unit], timeout: StopTimeout | None = None) -> Steps:
        """Stop units stage after stage, once NGINX uses only the other servers."""
        for unit in units:
            unit.wanted = False
            # A restart under way must not start it again.
            self._restarting.discard(unit)
        self.update_nginx()
        for kind in STOP_ORDER:
            stage = [unit for unit in units if unit.spec.kind is kind]
            for unit in stage:
                unit.stop(self._stop_timeout_of(unit, timeout), self._clock())
            yield from self._wait_until_down(stage)
        self._on_stopped(units)

    def _wait_until_down(self, units: Sequence[Unit]) -> Steps:
        while not all(unit.process is None and unit.state in _DOWN for unit in units):
            for unit in units:
                if unit.wanted:
                    raise SupervisorError(f"{unit.name} was started again before it had stopped")
            yield

    def update_nginx(self) -> None:
        """Have NGINX use the servers that are wanted, if there are any."""
        servers = self._units.server_addresses
        if self._balancer is None or not servers:
            return
        self._balancer.configure(servers)
        if any(unit.process is not None and unit.wanted for unit in self._units.of(ProcessKind.NGINX)):
            try:
                self._balancer.reload()
            except SupervisorError as error:
                # NGINX may be dying. Its successor reads the new configuration from the disk.
                _log.warning("%s", error)

    def _missing(self, kind: ProcessKind, count: int | None) -> list[Unit]:
        """Return the units that must be started so that the first `count` run."""
        by_number = {number_of(unit.name): unit for unit in self._units.of(kind)}
        wanted = [by_number.get(number) or self._add(kind, number) for number in range(1, (count or 0) + 1)]
        return [unit for unit in wanted if unit.process is None or not unit.wanted]

    def _add(self, kind: ProcessKind, number: int) -> Unit:
        if kind is ProcessKind.WORKER:
            return self._units.add(self._planner.worker(number))
        address = self._choose_address(f"s{number}", addresses(self._units))
        return self._units.add(self._planner.server(number, address))

    def _surplus(self, kind: ProcessKind, count: int | None) -> list[Unit]:
        return [] if count is None else [unit for unit in self._units.of(kind) if number_of(unit.name) > count]

    def _stop_timeout_of(self, unit: Unit, timeout: StopTimeout | None) -> float:
        own = unit.spec.stop_timeout
        if timeout is not None and (timeout.for_all or own is None):
            return timeout.seconds
        return self._stop_timeout if own is None else own

    def _start_timeout_of(self, unit: Unit) -> float:
        if unit.spec.kind is ProcessKind.RABBITMQ:
            return max(self._start_timeout, RABBITMQ_START_TIMEOUT)
        return self._start_timeout
