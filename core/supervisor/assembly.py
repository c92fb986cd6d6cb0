"""From settings, and from what a killed supervisor has left running, to what a supervisor is to run."""

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from core import config, exposure
from core.addresses import LOOPBACK, Address
from core.broker.base import Broker
from core.broker.factory import open_broker
from core.callbacks import ignore
from core.config import Settings
from core.errors import BrokerError, JournalError, SupervisorError
from core.repository.journal import Journal
from core.supervisor import declared_processes, desired_state, options, ports, rabbitmq_node, state
from core.supervisor.home import Home
from core.supervisor.nginx import executable
from core.supervisor.nginx.balancer import Balancer
from core.supervisor.operations import Operations
from core.supervisor.plan import LOCAL, Planner, ProcessKind, ProcessSpec
from core.supervisor.ports import PortChoice
from core.supervisor.processes import adoption
from core.supervisor.processes.adoption import Survivors
from core.supervisor.processes.readiness import ProbeTarget, was_ready
from core.supervisor.processes.unit import Unit
from core.supervisor.processes.units import Units
from core.supervisor.program import SystemSpec
from core.supervisor.state import ChildRecord, DesiredState

_log = logging.getLogger("cauce.supervisor")


class AssembledSystem(msgspec.Struct, frozen=True):
    """What was put together."""

    undertaking: SystemSpec
    settings: Settings
    """As they count: a system that goes on keeps what it was."""
    broker: Broker
    balancer: Balancer | None


def assemble(settings: Settings, environment: Mapping[str, str], home: Home) -> AssembledSystem:
    """Put a system together; of what runs already, end what is not wanted so. The lock is held.

    Args:
        settings: of the supervisor.
        environment: what the processes inherit.
        home: of the data directory.

    Raises:
        CauceError: something that is needed is missing, taken or wrong.
    """
    survivors = adoption.look(home)
    settings, wish = _wish(settings, home, survivors)
    choice = ports.choose(settings, kept=survivors.addresses)
    for remark in choice.remarks:
        _log.warning("%s", remark)
    planner = Planner(settings, home, sys.executable)
    program = _find_nginx() if choice.layout.listen is not None else None
    specs = _specs(settings, home, planner, choice, program, survivors)
    records = adoption.match(survivors, specs)
    left = adoption.end_others(home, survivors, list(records.values()), settings[options.STOP_TIMEOUT])
    if left:
        raise SupervisorError(f"these processes of a former supervisor can't be ended: {', '.join(map(str, left))}")
    broker = open_broker(settings[config.BROKER], home.directory)
    local = settings[config.BROKER] == LOCAL
    journal = Journal(settings[config.DATABASE], home.directory)
    if not local:
        _reach(broker, journal, lenient=bool(records))
    balancer = _balancer(settings, home, choice, program)
    units = _units(settings, environment, home, balancer, partial(_was_ready, journal))
    for spec in specs:
        units.add(spec)
    _take_up(units, records, wish, settings[options.STOP_TIMEOUT])
    prepare_broker = partial(_reach, broker, journal) if local else ignore
    undertaking = SystemSpec(
        units=units,
        operations=_operations(settings, units, planner, balancer, prepare_broker),
        intention=wish,
        adopting=bool(records),
        broker=broker.description,
        remarks=choice.remarks,
        nginx_change=lambda: balancer.change if balancer is not None else "",
        start_timeout=settings[options.START_TIMEOUT],
        stop_timeout=settings[options.STOP_TIMEOUT],
    )
    return AssembledSystem(undertaking, settings, broker, balancer)


def _take_up(units: Units, records: Mapping[str, ChildRecord], wish: DesiredState, stop_timeout: float) -> None:
    """Go on with what runs, and let be what an operator has stopped."""
    for unit in units:
        if unit.name in records:
            unit.adopt(records[unit.name])
        if unit.name in wish.stopped:
            unit.stop(stop_timeout, time.monotonic())
    if records:
        _log.warning("a former supervisor was killed; these go on: %s", ", ".join(records))


def _wish(settings: Settings, home: Home, survivors: Survivors) -> tuple[Settings, DesiredState]:
    """What is to run: as asked, or, where something goes on, as it had become."""
    former = state.load(home.intention, DesiredState) if survivors.known else None
    if former is None:
        at_rest = [each.name for each in declared_processes.read(settings, home.directory) if not each.start]
        return settings, desired_state.with_stopped(desired_state.begin(settings), at_rest)
    return desired_state.follow(settings, former)


def _specs(
    settings: Settings, home: Home, planner: Planner, choice: PortChoice, program: Path | None, survivors: Survivors
) -> list[ProcessSpec]:
    specs = []
    if settings[config.BROKER] == LOCAL:
        specs += _rabbitmq(home, planner, survivors)
    specs += [planner.server(number, address) for number, address in enumerate(choice.layout.servers, 1)]
    specs += [planner.worker(number) for number in range(1, settings[options.WORKER_COUNT] + 1)]
    if choice.layout.listen is not None and program is not None:
        specs.append(planner.nginx(program, choice.layout.listen))
    return specs + _declared(settings, home, planner)


def _rabbitmq(home: Home, planner: Planner, survivors: Survivors) -> list[ProcessSpec]:
    """The private node, and the port mapper that it needs."""
    programs = rabbitmq_node.find_programs()
    node = rabbitmq_node.prepare(
        home.rabbitmq, running=survivors.runs(ProcessKind.RABBITMQ) or survivors.runs(ProcessKind.EPMD)
    )
    environment = rabbitmq_node.environment(node, home.rabbitmq)
    return [
        planner.other(
            "epmd",
            ProcessKind.EPMD,
            rabbitmq_node.epmd_command(programs, node),
            environment,
            home.rabbitmq,
            Address(LOOPBACK, node.epmd_port),
        ),
        planner.other(
            "rabbitmq",
            ProcessKind.RABBITMQ,
            rabbitmq_node.node_command(programs),
            environment,
            home.rabbitmq,
            Address(LOOPBACK, node.port),
        ),
    ]


def _declared(settings: Settings, home: Home, planner: Planner) -> list[ProcessSpec]:
    """What the user has declared in the settings file."""
    return [
        planner.other(
            each.name,
            ProcessKind.DECLARED,
            each.command,
            each.environment,
            each.directory,
            each.ready,
            each.ready_after,
            each.stop_timeout,
        )
        for each in declared_processes.read(settings, home.directory)
    ]


def _find_nginx() -> Path:
    program = executable.find_nginx()
    if program is None:
        raise SupervisorError(
            "NGINX is not on this machine: install it (Debian: apt-get install nginx libnginx-mod-stream), "
            "or leave --nginx out: clients can share themselves out over several servers"
        )
    return program


def _balancer(settings: Settings, home: Home, choice: PortChoice, program: Path | None) -> Balancer | None:
    """NGINX's configuration, tested by NGINX before anything is started."""
    if choice.layout.listen is None or program is None:
        return None
    most = exposure.connections_per_client(settings, choice.layout.listen)
    balancer = Balancer(program, home.nginx, choice.layout.listen, most)
    balancer.configure(choice.layout.servers)
    return balancer


def _was_ready(journal: Journal, target: ProbeTarget) -> bool:
    """Look a last time at what a process wrote before it died."""
    if target.kind not in {ProcessKind.SERVER, ProcessKind.WORKER}:
        return False
    try:
        with journal.open_readonly() as repository:
            return was_ready(target, repository.processes())
    except JournalError:
        return False


def _units(
    settings: Settings,
    environment: Mapping[str, str],
    home: Home,
    balancer: Balancer | None,
    ready: Callable[[ProbeTarget], bool],
) -> Units:
    def make(spec: ProcessSpec) -> Unit:
        before = balancer.test if balancer is not None and spec.kind is ProcessKind.NGINX else ignore
        return Unit(spec, home, environment, settings[options.HUNG_AFTER], before, ready)

    return Units(make)


def _operations(
    settings: Settings, units: Units, planner: Planner, balancer: Balancer | None, prepare_broker: Callable[[], None]
) -> Operations:
    first = settings[options.SERVER_PORT]

    def another_address(name: str, taken: Sequence[Address]) -> Address:
        return ports.another(name, first, taken)

    return Operations(
        units,
        planner,
        balancer,
        another_address=another_address,
        holder_of=ports.holder_of,
        prepare_broker=prepare_broker,
        start_timeout=settings[options.START_TIMEOUT],
        stop_timeout=settings[options.STOP_TIMEOUT],
    )


def _reach(broker: Broker, journal: Journal, *, lenient: bool = False) -> None:
    """Make sure that the broker can be used, before anything is started."""
    with contextlib.suppress(*((BrokerError,) if lenient else ())):
        broker.prepare()
    if broker.recreations and journal.path.exists():
        # What was on the queue that had to be made is gone.
        with journal.open() as repository, repository.transaction():
            repository.redispatch()
