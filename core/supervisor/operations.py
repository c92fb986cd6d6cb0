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
        crew: the parts.
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
        crew: Units,
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
        self._crew = crew
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
        return [part.name for part in self._crew if not part.wanted and part not in self._restarting]

    def bring_up(self, *, lenient: bool = False) -> Steps:
        """Start everything that is wanted, stage after stage, and wait until it is ready.

        Args:
            lenient: what can't be got ready is told, and is no reason to stop: some of it works already.
        """
        wanted = [part for part in self._crew if part.wanted]
        for stage in START_STAGES:
            try:
                if ProcessKind.SERVER in stage:
                    self._prepare_broker()
                yield from self._start([part for part in wanted if part.spec.kind in stage])
            except CauceError as error:
                if not lenient:
                    raise
                _log.warning("%s", error)

    def start(self, names: Sequence[str]) -> Steps:
        """Start what is named, and wait until it is ready."""
        parts = self._crew.find(names)
        for stage in START_STAGES:
            yield from self._start([part for part in parts if part.spec.kind in stage])
            if ProcessKind.SERVER in stage:
                self._balance()

    def stop(self, names: Sequence[str], timeout: float | None = None) -> Steps:
        """Stop what is named: politely, and by force when `timeout` seconds are over."""
        yield from self._stop(self._crew.find(names), timeout)

    def restart(self, names: Sequence[str], timeout: float | None = None) -> Steps:
        """Stop and start what is named, one process after the other, so that the others do the work meanwhile."""
        for part in self._crew.find(names):
            self._restarting.add(part)
            part.leave(self._patience(part, timeout), self._clock())
            yield from self._until_down([part])
            if part not in self._restarting:
                raise SupervisorError(f"{part.name} was told to stop before it was started again")
            self._restarting.remove(part)
            yield from self._start([part])

    def kill(self, names: Sequence[str]) -> Steps:
        """End what is named as a crash would; it is started again by itself."""
        for part in self._crew.find(names):
            former = part.process
            part.kill()
            while former is not None and part.process is former:
                yield

    def scale(self, servers: int | None, workers: int | None) -> Steps:
        """Run so many servers and workers: add and wait until they are ready, or let the last ones finish and end.

        The number of servers that NGINX sends connections to changes without a connection being refused: one that is
        added is ready before, and one that goes is told to leave after.
        """
        if servers == 0 and self._balancer is not None:
            raise SupervisorError("NGINX needs at least one server to send connections to")
        before = self._crew.of(ProcessKind.SERVER)
        added = [*self._more(ProcessKind.SERVER, servers), *self._more(ProcessKind.WORKER, workers)]
        gone = [*self._surplus(ProcessKind.SERVER, servers), *self._surplus(ProcessKind.WORKER, workers)]
        try:
            yield from self._start(added)
            self._balance()
            if any(part.spec.kind is ProcessKind.SERVER for part in added):
                for part in before:
                    part.rebalance()
            yield from self._stop(gone)
        finally:
            for part in (*added, *gone):
                if part.process is None and not part.wanted and part in list(self._crew):
                    self._crew.remove(part)

    # The pieces that stories are made of.

    def _start(self, parts: Sequence[Unit]) -> Steps:
        for part in parts:
            if part.spec.kind is ProcessKind.NGINX:
                self._balance()
            part.want()
        longest = max((self._time_to_start(part) for part in parts), default=0.0)
        deadline = self._clock() + longest
        moves = 0
        while not all(part.proven for part in parts):
            for part in parts:
                if not part.wanted:
                    raise SupervisorError(f"{part.name} was told to stop before it was ready")
                if part.failure:
                    moves += self._mended(part, MOVES - moves)
            if self._clock() > deadline:
                late = next(part for part in parts if not part.proven)
                raise SupervisorError(late.complaint(f"was not ready within {longest:g} seconds"))
            yield

    def _mended(self, part: Unit, moves_left: int) -> int:
        """Mend a failed start by another address, if that was the reason; how many moves that took."""
        if moves_left > 0 and self._move(part):
            return 1
        raise SupervisorError(part.failure)

    def _move(self, part: Unit) -> bool:
        """Give a server another port when somebody has taken its own; whether it was so."""
        address = part.spec.address
        if part.spec.kind is not ProcessKind.SERVER or address is None or not self._holder_of(address):
            return False
        others = addresses(other for other in self._crew if other is not part)
        elsewhere = self._another_address(part.name, [*others, address])
        part.spec = self._planner.server(number_of(part.name), elsewhere)
        part.want()
        return True

    def _stop(self, parts: Sequence[Unit], timeout: float | None = None) -> Steps:
        """Stop parts stage after stage. NGINX learns first which servers it must not use any more."""
        for part in parts:
            part.wanted = False
            # A restart that is under way does not start it again.
            self._restarting.discard(part)
        self._balance()
        for kind in STOP_ORDER:
            stage = [part for part in parts if part.spec.kind is kind]
            for part in stage:
                part.leave(self._patience(part, timeout), self._clock())
            yield from self._until_down(stage)

    def _until_down(self, parts: Sequence[Unit]) -> Steps:
        while not all(part.process is None and part.state in _DOWN for part in parts):
            if any(part.wanted for part in parts):
                raise SupervisorError("it was told to start again before it had stopped")
            yield

    def _balance(self) -> None:
        """Have NGINX use the servers that are wanted; as long as there is one."""
        servers = self._crew.server_addresses
        if self._balancer is None or not servers:
            return
        self._balancer.configure(servers)
        if any(part.process is not None and part.wanted for part in self._crew.of(ProcessKind.NGINX)):
            try:
                self._balancer.reload()
            except SupervisorError as error:
                # It may be dying just now. The next one begins with what is on the disk; this one is told again later.
                _log.warning("%s", error)

    def _more(self, kind: ProcessKind, count: int | None) -> list[Unit]:
        """The parts that have to be started so that the first `count` run."""
        by_number = {number_of(part.name): part for part in self._crew.of(kind)}
        wanted = [by_number.get(number) or self._added(kind, number) for number in range(1, (count or 0) + 1)]
        return [part for part in wanted if part.process is None or not part.wanted]

    def _added(self, kind: ProcessKind, number: int) -> Unit:
        if kind is ProcessKind.WORKER:
            return self._crew.add(self._planner.worker(number))
        address = self._another_address(f"s{number}", addresses(self._crew))
        return self._crew.add(self._planner.server(number, address))

    def _surplus(self, kind: ProcessKind, count: int | None) -> list[Unit]:
        return [] if count is None else [part for part in self._crew.of(kind) if number_of(part.name) > count]

    def _patience(self, part: Unit, timeout: float | None) -> float:
        if timeout is not None:
            return timeout
        return self._stop_timeout if part.spec.stop_timeout is None else part.spec.stop_timeout

    def _time_to_start(self, part: Unit) -> float:
        return (
            max(self._start_timeout, RABBITMQ_START) if part.spec.kind is ProcessKind.RABBITMQ else self._start_timeout
        )
