"""What an operator can have done, each written as one story that goes on a step at a time.

A story is a generator: the supervisor's main thread lets it go on at each of its turns, so that several can be under
way, and none of them holds up the mending of what dies. One that can't go on raises `SupervisorError`.
"""

import logging
import time
from collections.abc import Callable, Generator, Sequence
from typing import TypeAlias

from core.addresses import Address
from core.errors import CauceError, SupervisorError
from core.supervisor.nginx.balancer import Balancer
from core.supervisor.plan import START_STAGES, STOP_ORDER, Planner, ProcessKind, number_of
from core.supervisor.processes.unit import Unit
from core.supervisor.processes.units import Units, addresses
from core.supervisor.status import UnitState

Steps: TypeAlias = Generator[None, None, None]

RABBITMQ_START = 90.0
"""Seconds that a RabbitMQ node has to be ready, when the setting gives it less: it starts slowly."""

MOVES = 3
"""How often a server looks for another port when somebody took its own between the choice and the use."""

_log = logging.getLogger("cauce.supervisor")

_DOWN = frozenset({UnitState.STOPPED, UnitState.CRASHED})


class Operations:
    """Tells the stories.

    Args:
        units: the units.
        planner: writes what further ones run.
        balancer: keeps NGINX's configuration, when there is NGINX.
        another_address: chooses the address of one more server, given its name and what the others have.
        holder_of: says who keeps an address from being listened on.
        prepare_broker: makes the queues, once the private broker is ready.
        start_timeout: seconds that what is started together has to be ready.
        stop_timeout: seconds that a process has to end.
        clock: a monotonic one.
    """

    def __init__(
        self,
        units: Units,
        planner: Planner,
        balancer: Balancer | None,
        *,
        another_address: Callable[[str, Sequence[Address]], Address],
        holder_of: Callable[[Address], str],
        prepare_broker: Callable[[], None],
        start_timeout: float,
        stop_timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._units = units
        self._planner = planner
        self._balancer = balancer
        self._another_address = another_address
        self._holder_of = holder_of
        self._prepare_broker = prepare_broker
        self._start_timeout = start_timeout
        self._stop_timeout = stop_timeout
        self._clock = clock
        self._restarting: set[Unit] = set()

    @property
    def stopped(self) -> list[str]:
        """The names of what operators have stopped. What is down only to be started again is not among them."""
        return [unit.name for unit in self._units if not unit.wanted and unit not in self._restarting]

    def bring_up(self, *, lenient: bool = False) -> Steps:
        """Start everything that is wanted, stage after stage, and wait until it is ready.

        Args:
            lenient: what can't be got ready is told, and is no reason to stop: some of it works already.
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
        """Start what is named, and wait until it is ready."""
        units = self._units.find(names)
        for stage in START_STAGES:
            yield from self._start([unit for unit in units if unit.spec.kind in stage])
            if ProcessKind.SERVER in stage:
                self._balance()

    def stop(self, names: Sequence[str], timeout: float | None = None) -> Steps:
        """Stop what is named: politely, and by force when `timeout` seconds are over."""
        yield from self._stop(self._units.find(names), timeout)

    def restart(self, names: Sequence[str], timeout: float | None = None) -> Steps:
        """Stop and start what is named, one process after the other, so that the others do the work meanwhile."""
        for unit in self._units.find(names):
            self._restarting.add(unit)
            unit.stop(self._patience(unit, timeout), self._clock())
            yield from self._until_down([unit])
            if unit not in self._restarting:
                raise SupervisorError(f"{unit.name} was told to stop before it was started again")
            self._restarting.remove(unit)
            yield from self._start([unit])

    def kill(self, names: Sequence[str]) -> Steps:
        """End what is named as a crash would; it is started again by itself."""
        for unit in self._units.find(names):
            former = unit.process
            unit.kill()
            while former is not None and unit.process is former:
                yield

    def scale(self, servers: int | None, workers: int | None) -> Steps:
        """Run so many servers and workers: add and wait until they are ready, or let the last ones finish and end.

        The number of servers that NGINX sends connections to changes without a connection being refused: one that is
        added is ready before, and one that goes is told to leave after.
        """
        if servers == 0 and self._balancer is not None:
            raise SupervisorError("NGINX needs at least one server to send connections to")
        before = self._units.of(ProcessKind.SERVER)
        added = [*self._more(ProcessKind.SERVER, servers), *self._more(ProcessKind.WORKER, workers)]
        gone = [*self._surplus(ProcessKind.SERVER, servers), *self._surplus(ProcessKind.WORKER, workers)]
        try:
            yield from self._start(added)
            self._balance()
            if any(unit.spec.kind is ProcessKind.SERVER for unit in added):
                for unit in before:
                    unit.rebalance()
            yield from self._stop(gone)
        finally:
            for unit in (*added, *gone):
                if unit.process is None and not unit.wanted and unit in list(self._units):
                    self._units.remove(unit)

    # The pieces that stories are made of.

    def _start(self, units: Sequence[Unit]) -> Steps:
        for unit in units:
            if unit.spec.kind is ProcessKind.NGINX:
                self._balance()
            unit.start()
        longest = max((self._time_to_start(unit) for unit in units), default=0.0)
        deadline = self._clock() + longest
        moves = 0
        while not all(unit.start_completed for unit in units):
            for unit in units:
                if not unit.wanted:
                    raise SupervisorError(f"{unit.name} was told to stop before it was ready")
                if unit.start_failure:
                    moves += self._mended(unit, MOVES - moves)
            if self._clock() > deadline:
                late = next(unit for unit in units if not unit.start_completed)
                raise SupervisorError(late.describe_failure(f"was not ready within {longest:g} seconds"))
            yield

    def _mended(self, unit: Unit, moves_left: int) -> int:
        """Mend a failed start by another address, if that was the reason; how many moves that took."""
        if moves_left > 0 and self._move(unit):
            return 1
        raise SupervisorError(unit.start_failure)

    def _move(self, unit: Unit) -> bool:
        """Give a server another port when somebody has taken its own; whether it was so."""
        address = unit.spec.address
        if unit.spec.kind is not ProcessKind.SERVER or address is None or not self._holder_of(address):
            return False
        others = addresses(other for other in self._units if other is not unit)
        elsewhere = self._another_address(unit.name, [*others, address])
        unit.spec = self._planner.server(number_of(unit.name), elsewhere)
        unit.start()
        return True

    def _stop(self, units: Sequence[Unit], timeout: float | None = None) -> Steps:
        """Stop units stage after stage. NGINX learns first which servers it must not use any more."""
        for unit in units:
            unit.wanted = False
            # A restart that is under way does not start it again.
            self._restarting.discard(unit)
        self._balance()
        for kind in STOP_ORDER:
            stage = [unit for unit in units if unit.spec.kind is kind]
            for unit in stage:
                unit.stop(self._patience(unit, timeout), self._clock())
            yield from self._until_down(stage)

    def _until_down(self, units: Sequence[Unit]) -> Steps:
        while not all(unit.process is None and unit.state in _DOWN for unit in units):
            if any(unit.wanted for unit in units):
                raise SupervisorError("it was told to start again before it had stopped")
            yield

    def _balance(self) -> None:
        """Have NGINX use the servers that are wanted; as long as there is one."""
        servers = self._units.server_addresses
        if self._balancer is None or not servers:
            return
        self._balancer.configure(servers)
        if any(unit.process is not None and unit.wanted for unit in self._units.of(ProcessKind.NGINX)):
            try:
                self._balancer.reload()
            except SupervisorError as error:
                # It may be dying just now. The next one begins with what is on the disk; this one is told again later.
                _log.warning("%s", error)

    def _more(self, kind: ProcessKind, count: int | None) -> list[Unit]:
        """The units that have to be started so that the first `count` run."""
        by_number = {number_of(unit.name): unit for unit in self._units.of(kind)}
        wanted = [by_number.get(number) or self._added(kind, number) for number in range(1, (count or 0) + 1)]
        return [unit for unit in wanted if unit.process is None or not unit.wanted]

    def _added(self, kind: ProcessKind, number: int) -> Unit:
        if kind is ProcessKind.WORKER:
            return self._units.add(self._planner.worker(number))
        address = self._another_address(f"s{number}", addresses(self._units))
        return self._units.add(self._planner.server(number, address))

    def _surplus(self, kind: ProcessKind, count: int | None) -> list[Unit]:
        return [] if count is None else [unit for unit in self._units.of(kind) if number_of(unit.name) > count]

    def _patience(self, unit: Unit, timeout: float | None) -> float:
        if timeout is not None:
            return timeout
        return self._stop_timeout if unit.spec.stop_timeout is None else unit.spec.stop_timeout

    def _time_to_start(self, unit: Unit) -> float:
        return (
            max(self._start_timeout, RABBITMQ_START) if unit.spec.kind is ProcessKind.RABBITMQ else self._start_timeout
        )
