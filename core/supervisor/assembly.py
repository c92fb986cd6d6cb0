"""Puts a system together from the settings and from what a killed supervisor has left running."""

import contextlib
import logging
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from core import child_programs, config, encryption, exposure
from core.addresses import LOOPBACK, Address
from core.broker.base import Broker
from core.broker.factory import open_broker
from core.callbacks import ignore
from core.config import Settings
from core.errors import BrokerError, ConfigurationError, JournalError, SupervisorError
from core.repository.journal import Journal
from core.supervisor import access, declared_processes, desired_state, options, plan, ports, rabbitmq_node, state
from core.supervisor.home import Home
from core.supervisor.nginx import executable
from core.supervisor.nginx.balancer import Balancer
from core.supervisor.operations import Operations
from core.supervisor.plan import LOCAL, Planner, ProcessKind, ProcessSpec
from core.supervisor.ports import PortChoice
from core.supervisor.processes import adoption
from core.supervisor.processes.adoption import OrphanedSystem
from core.supervisor.processes.readiness import ProbeTarget, was_ready
from core.supervisor.processes.unit import Unit
from core.supervisor.processes.units import Units
from core.supervisor.program import SystemSpec
from core.supervisor.state import ChildRecord, DesiredState

JOURNAL_TIMEOUT = 0.5
"""Seconds to wait for the journal's lock before the end of a process is not noted: nothing depends on it."""

_log = logging.getLogger("cauce.supervisor")


class AssembledSystem(msgspec.Struct, frozen=True):
    """A system that is ready to be run."""

    spec: SystemSpec
    settings: Settings
    """The effective settings: an adopted system keeps its own."""
    broker: Broker
    balancer: Balancer | None


def assemble(settings: Settings, environment: Mapping[str, str], home: Home) -> AssembledSystem:
    """Put a system together, and end the processes that don't fit it. The caller must hold the lock.

    Args:
        settings: the supervisor's settings.
        environment: the environment that the processes inherit.
        home: the paths of the data directory.

    Raises:
        CauceError: a program is missing, an address is taken, or a setting is wrong.
    """
    orphaned = adoption.find_orphaned(home)
    former = state.load(home.desired_state, DesiredState) if orphaned.records else None
    settings, desired = _desired_state(settings, home, former)
    token = _check(settings, orphaned, former)
    desired = desired_state.with_token(desired, token)
    choice = ports.choose(settings, kept=orphaned.addresses)
    planner = Planner(settings, home, child_programs.interpreter())
    program = _find_nginx() if choice.layout.listen is not None else None
    specs = _specs(settings, home, planner, choice, program, orphaned)
    same_token = former is None or former.token_digest in {desired.token_digest, None}
    records = adoption.find_adoptable(orphaned, specs, servers=same_token)
    remarks = (*choice.remarks, *_ended_remark(settings, orphaned, records, former, desired))
    for remark in remarks:
        _log.warning("%s", remark)
    left = adoption.stop_others(orphaned, list(records.values()), settings[options.STOP_TIMEOUT])
    if left:
        raise SupervisorError(f"these processes of a former supervisor can't be ended: {', '.join(map(str, left))}")
    broker = open_broker(settings[config.BROKER], home.directory)
    local = settings[config.BROKER] == LOCAL
    journal = Journal(settings[config.DATABASE], home.directory)
    if not local:
        _prepare_broker(broker, journal, lenient=bool(records))
    balancer = _balancer(settings, home, choice, program)
    units = _make_units(settings, environment, home, balancer, partial(_was_ready, journal))
    for spec in specs:
        units.add(spec)
    _adopt(units, records, desired, settings[options.STOP_TIMEOUT])
    prepare_broker = partial(_prepare_broker, broker, journal) if local else ignore
    on_stopped = partial(_mark_left, journal)
    system = SystemSpec(
        units=units,
        operations=_make_operations(settings, choice, units, planner, balancer, prepare_broker, on_stopped),
        desired_state=desired,
        adopting=bool(records),
        broker=broker.description,
        remarks=remarks,
        shared_settings=access.shared_settings(settings),
        encrypted=access.Encrypted(settings),
        nginx_change=lambda: balancer.change if balancer is not None else "",
        on_stopped=on_stopped,
        start_timeout=settings[options.START_TIMEOUT],
        stop_timeout=settings[options.STOP_TIMEOUT],
    )
    return AssembledSystem(system, settings, broker, balancer)


def _adopt(units: Units, records: Mapping[str, ChildRecord], desired: DesiredState, stop_timeout: float) -> None:
    """Adopt the recorded processes, and keep down those that an operator has stopped."""
    for unit in units:
        if unit.name in records:
            unit.adopt(records[unit.name])
        if unit.name in desired.stopped:
            unit.stop(stop_timeout, time.monotonic())
    if records:
        _log.warning("a former supervisor was killed; these go on: %s", ", ".join(records))


def check_settings(settings: Settings) -> tuple[str | None, str | None]:
    """Check settings that do not depend on what runs. Returns the token, and a warning; either may be None.

    Raises:
        ConfigurationError: they contradict each other, or a certificate or the token can't be used.
    """
    token = config.read_token(settings)
    warning = plan.check(settings, token=token is not None)
    encryption.for_server(settings)
    return token, warning


def _check(settings: Settings, orphaned: OrphanedSystem, former: DesiredState | None) -> str | None:
    """Check what can be an error before anything is started or ended. Returns the token that clients must send.

    Raises:
        ConfigurationError: settings contradict each other, or a certificate or the token can't be used.
    """
    token, warning = check_settings(settings)
    if warning:
        _log.warning("%s", warning)
    if former is not None and former.token_digest and token is None and orphaned.runs(ProcessKind.SERVER):
        raise ConfigurationError(
            "the servers that a killed supervisor has left require a token, which is stored nowhere: "
            f"give it again, in {config.TOKEN.variable} or with {config.TOKEN_FILE.flags[0]}, or end them with `down`"
        )
    return token


def _ended_remark(
    settings: Settings,
    orphaned: OrphanedSystem,
    adopted: Mapping[str, ChildRecord],
    former: DesiredState | None,
    desired: DesiredState,
) -> Iterator[str]:
    """Say which processes of a killed supervisor end, and which settings are the reason."""
    names = ", ".join(record.name for record in orphaned.records if record.name not in adopted)
    if not names:
        return
    changed = desired_state.changed_keys(former, desired)
    places = ", ".join(
        option.flags[-1] if option.flags else option.key for option in settings.options if option.key in changed
    )
    yield f"a killed supervisor had left {names}: ended, as {places or 'something else'} was asked for"


def _desired_state(settings: Settings, home: Home, former: DesiredState | None) -> tuple[Settings, DesiredState]:
    """Return what is to run: as asked now or, if processes are adopted, as operators had changed it."""
    if former is None:
        stopped = [each.name for each in declared_processes.read(settings, home.directory) if not each.start]
        return settings, desired_state.with_stopped(desired_state.initial(settings), stopped)
    return desired_state.resume(settings, former)


def _specs(
    settings: Settings, home: Home, planner: Planner, choice: PortChoice, program: Path | None, orphaned: OrphanedSystem
) -> list[ProcessSpec]:
    specs = []
    if settings[config.BROKER] == LOCAL:
        specs += _rabbitmq(home, planner, orphaned)
    specs += [planner.server(number, address) for number, address in enumerate(choice.layout.servers, 1)]
    specs += [planner.worker(number) for number in range(1, settings[options.WORKER_COUNT] + 1)]
    if choice.layout.listen is not None and program is not None:
        specs.append(planner.nginx(program, choice.layout.listen))
    return specs + _declared(settings, home, planner)


def _rabbitmq(home: Home, planner: Planner, orphaned: OrphanedSystem) -> list[ProcessSpec]:
    """Make the specifications of the private node and of the port mapper that it needs."""
    programs = rabbitmq_node.find_programs()
    node = rabbitmq_node.prepare(
        home.rabbitmq, running=orphaned.runs(ProcessKind.RABBITMQ) or orphaned.runs(ProcessKind.EPMD)
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
    """Make the specifications of the processes that the user has declared in the settings file."""
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
            "or leave --nginx out: clients can spread over several servers by themselves"
        )
    return program


def _balancer(settings: Settings, home: Home, choice: PortChoice, program: Path | None) -> Balancer | None:
    """Make the balancer. It writes its configuration, which NGINX tests before anything is started."""
    if choice.layout.listen is None or program is None:
        return None
    max_connections = exposure.connections_per_client(settings, choice.layout.listen)
    balancer = Balancer(program, home.nginx, choice.layout.listen, max_connections)
    balancer.configure(choice.layout.servers)
    return balancer


def _was_ready(journal: Journal, target: ProbeTarget) -> bool:
    """Return whether the journal shows that a process was ready before it died."""
    if target.kind not in {ProcessKind.SERVER, ProcessKind.WORKER}:
        return False
    try:
        with journal.open_readonly() as repository:
            return was_ready(target, repository.processes())
    except JournalError:
        return False


def _mark_left(journal: Journal, units: Sequence[Unit]) -> None:
    """Note in the journal that units were stopped: a process that was killed, or died before, can't do so itself."""
    names = [unit.name for unit in units if unit.spec.kind in {ProcessKind.SERVER, ProcessKind.WORKER}]
    if not names or not journal.path.exists():
        return
    try:
        with journal.open(lock_timeout=JOURNAL_TIMEOUT) as repository, repository.transaction():
            repository.mark_left(socket.gethostname(), names)
    except JournalError as error:
        _log.warning("the journal may show processes as lost that were stopped: %s", error)


def _make_units(
    settings: Settings,
    environment: Mapping[str, str],
    home: Home,
    balancer: Balancer | None,
    ready_before_death: Callable[[ProbeTarget], bool],
) -> Units:
    def make_unit(spec: ProcessSpec) -> Unit:
        before_start = balancer.test if balancer is not None and spec.kind is ProcessKind.NGINX else ignore
        return Unit(spec, home, environment, settings[options.HUNG_AFTER], before_start, ready_before_death)

    return Units(make_unit)


def _make_operations(
    settings: Settings,
    choice: PortChoice,
    units: Units,
    planner: Planner,
    balancer: Balancer | None,
    prepare_broker: Callable[[], None],
    on_stopped: Callable[[Sequence[Unit]], None],
) -> Operations:
    first = settings[options.SERVER_PORT]

    def choose_address(name: str, taken: Sequence[Address]) -> Address:
        return ports.choose_address(name, first, taken, choice.fixed)

    return Operations(
        units,
        planner,
        balancer,
        choose_address=choose_address,
        holder_of=ports.holder_of,
        prepare_broker=prepare_broker,
        on_stopped=on_stopped,
        start_timeout=settings[options.START_TIMEOUT],
        stop_timeout=settings[options.STOP_TIMEOUT],
    )


def _prepare_broker(broker: Broker, journal: Journal, *, lenient: bool = False) -> None:
    """Make sure that the broker can be used. A failure of the broker is an error, unless `lenient`."""
    with contextlib.suppress(*((BrokerError,) if lenient else ())):
        broker.prepare()
    if broker.recreations and journal.path.exists():
        # The messages of the queue that was missing are lost.
        with journal.open() as repository, repository.transaction():
            repository.redispatch()
