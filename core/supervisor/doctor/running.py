"""The checks of a running supervisor, and of the addresses that the system would listen on."""

import re

from core.addresses import Address
from core.errors import ConfigurationError, SupervisorError
from core.supervisor import commands, ports, state
from core.supervisor.doctor import remedies
from core.supervisor.doctor.finding import Finding, Findings, Subject, ok, problem, warning
from core.supervisor.doctor.remedies import Platform
from core.supervisor.home import Home
from core.supervisor.lock import is_held
from core.supervisor.processes import orphans, process_identity
from core.supervisor.processes.adoption import OrphanedSystem
from core.supervisor.state import ChildRecords, SupervisorState
from core.supervisor.status import SystemStatus, UnitState


def check_supervisor(subject: Subject) -> Findings:
    """Check whether a supervisor runs in the directory, and what a killed one has left."""
    home = subject.home
    found = state.load(home.state, SupervisorState)
    if is_held(home.lock):
        report = commands.ask_status(found) if found is not None else None
        yield _judge_running(report, subject)
        return
    left = [f"{orphan.name} (pid {orphan.identity.pid})" for orphan in orphans.find(home)]
    if left:
        up, down = (remedies.supervisor(subject.platform, command, home.directory) for command in ("up", "down"))
        text = f"a supervisor was killed here, and has left running: {', '.join(left)}"
        yield warning("supervisor", text, f"{up} goes on with them, {down} ends them")
    elif found is not None:
        yield ok(
            "supervisor",
            "none runs here; the last one was killed, and has left only files, which the next one replaces",
        )
    else:
        yield ok("supervisor", "none runs here")


def _judge_running(report: SystemStatus | None, subject: Subject) -> Finding:
    if report is None:
        remedy = f"try again; if this stays so: {remedies.supervisor(subject.platform, 'down', subject.home.directory)}"
        return warning("supervisor", "a supervisor runs here, and does not answer", remedy)
    text = f"a supervisor runs here (pid {report.pid}); it is {report.phase}"
    if report.ready:
        return ok("supervisor", f"{text}, and everything is ready")
    troubled = [
        f"{unit.name} is {unit.state}{f' ({unit.note})' if unit.note else ''}"
        for unit in report.processes
        if unit.state not in {UnitState.READY, UnitState.STOPPED}
    ]
    remedy = remedies.supervisor(subject.platform, "status", subject.home.directory)
    return warning("supervisor", f"{text}, and not everything is ready: {', '.join(troubled) or 'wait'}", remedy)


def check_ports(subject: Subject) -> Findings:
    """Check whether the addresses of the system are free, or in use by the system itself."""
    own = _own_addresses(subject.home)
    names = {address.port: name for name, address in own.items()}

    def holder(address: Address) -> str:
        name = names.get(address.port)
        return f"{name} of this system" if name else ports.holder_of(address)

    try:
        choice = ports.choose(subject.settings, holder, kept=own)
    except SupervisorError as error:
        remedy = (
            f"{_end_remedy(str(error), subject.platform)}, or choose another address with --listen or --server-port"
        )
        yield problem("ports", str(error), remedy)
        return
    except ConfigurationError as error:
        yield problem("ports", str(error), "choose an address of this machine with --listen")
        return
    if choice.remarks:
        remedy = f"{_end_remedy(choice.remarks[0], subject.platform)}, or choose others with --listen and --server-port"
        yield warning("ports", "; ".join(choice.remarks), remedy)
        return
    wanted = [address for address in (choice.layout.listen, *choice.layout.servers) if address is not None]
    texts = [f"{at} is {f'held by {names[at.port]} of this system' if at.port in names else 'free'}" for at in wanted]
    yield ok("ports", ", ".join(texts) or "no server is wanted, so no port is needed")


def _own_addresses(home: Home) -> dict[str, Address]:
    """Return the addresses of the live processes of this system, by name."""
    records = state.load(home.children, ChildRecords) or ChildRecords()
    return OrphanedSystem(
        tuple(each for each in records.children if process_identity.is_alive(each.identity))
    ).addresses


def _end_remedy(text: str, platform: Platform) -> str:
    """Return how to end the program that a sentence names as the holder of a port."""
    found = re.search(r"\(pid (\d+)\)", text)
    return f"end that program ({remedies.end_process(platform, int(found[1]))})" if found else "end that program"
