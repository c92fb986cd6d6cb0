"""How a supervisor begins: in the foreground, or in the background as a process of its own session.

Nothing here prints: it returns values or raises errors.
"""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from core import config, encryption
from core.broker.factory import open_broker
from core.callbacks import ignore
from core.config import Settings
from core.errors import AlreadyRunning, SupervisorError
from core.repository.journal import Journal
from core.supervisor import commands, options, plan, service_manager, state
from core.supervisor.arguments import MODULE
from core.supervisor.assembly import assemble
from core.supervisor.guard import guarding
from core.supervisor.home import Home
from core.supervisor.lock import Lock, is_held
from core.supervisor.logs.log_files import last_lines, open_log
from core.supervisor.logs.log_rotation import LogRotation
from core.supervisor.plan import LOCAL, MARK, ProcessKind
from core.supervisor.processes import process_identity
from core.supervisor.processes.health import HealthMonitor, HealthReport
from core.supervisor.processes.process import HIDDEN
from core.supervisor.program import Supervisor
from core.supervisor.service_manager import ServiceNotifier
from core.supervisor.state import SupervisorState
from core.supervisor.status import Phase, SystemStatus
from core.threads import OnDeath

LOG = "supervisor"
PAUSE = 0.05
CALM = 0.5

OWN_TIME = 60.0
"""Seconds that a supervisor in the background may need beside the time of what it starts."""

STAGES = 5
"""How many times the start time-out may be needed: what is started together has one."""

_log = logging.getLogger("cauce.supervisor")


def up(settings: Settings, environment: Mapping[str, str], announce: Callable[[SystemStatus], None]) -> int:
    """Run the system until it is told to end; the exit code.

    What a supervisor that was killed has left running goes on under this one.

    Args:
        settings: as `options` describes them.
        environment: what the processes inherit.
        announce: called once, when everything is ready.

    Raises:
        AlreadyRunning: a supervisor runs in this directory.
        CauceError: something can't be started; nothing is left running then.
    """
    token = config.read_token(settings)
    warning = plan.check(settings, token=token is not None)
    if warning:
        _log.warning("%s", warning)
    # What the servers could not use is told before anything is started.
    tls = encryption.unverified_context() if encryption.for_server(settings) is not None else None
    home = Home(settings[config.DIRECTORY])
    home.create()
    with _lock(home):
        inherited = service_manager.without_socket(environment)
        assembly = assemble(settings, inherited, home)
        journal = Journal(assembly.settings[config.DATABASE], home.directory)
        local = assembly.settings[config.BROKER] == LOCAL

        def make_watcher(on_seen: Callable[[HealthReport], None], on_death: OnDeath) -> HealthMonitor:
            return HealthMonitor(
                journal.open_readonly, assembly.broker if local else None, token, on_seen, on_death, tls
            )

        rotate_access_log = assembly.balancer.rotate if assembly.balancer is not None else ignore
        supervisor = Supervisor(
            assembly.undertaking,
            home,
            make_watcher,
            LogRotation(home.logs, rotate_access_log),
            ServiceNotifier(environment),
            announce,
        )
        with guarding(home, assembly.settings, inherited):
            return supervisor.run()


def up_detached(
    settings: Settings, environment: Mapping[str, str], tell: Callable[[SystemStatus], None]
) -> SystemStatus:
    """Run the system in the background, and return when everything is ready.

    Args:
        settings: as `options` describes them.
        environment: what the supervisor and its processes inherit.
        tell: called again and again until then, with how it stands.

    Raises:
        AlreadyRunning: a supervisor runs in this directory, or has just won the race for it.
        SupervisorError: something can't be started; says what, and nothing is left running.
    """
    home = Home(settings[config.DIRECTORY])
    if is_held(home.lock):
        raise AlreadyRunning(commands.describe_supervisor(home))
    home.create()
    log = home.log(LOG)
    with open_log(log) as output:
        log_start = output.tell()
        process = subprocess.Popen(  # noqa: S603 - no shell, and the command is our own
            [sys.executable, "-m", MODULE, "up", "--no-attach", "--json", "--dir", str(home.directory)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=output,
            env=_told(settings, environment),
            start_new_session=True,
            creationflags=HIDDEN,
        )
    patience = STAGES * settings[options.START_TIMEOUT] + settings[options.STOP_TIMEOUT] + OWN_TIME
    try:
        report = _wait_until_ready(process, home, patience, tell)
    except BaseException:
        _give_up(process, settings[options.STOP_TIMEOUT])
        raise
    if report is None:
        raise _failure(process.wait(), log, log_start)
    # A console lives long: it must not keep the supervisor as a zombie once that has ended.
    threading.Thread(target=process.wait, name="supervisor-wait", daemon=True).start()
    return report


def attach(settings: Settings) -> SystemStatus | None:
    """Wait until the supervisor that runs in the directory has everything ready; None when it has ended before.

    Raises:
        AlreadyRunning: it runs something else than is asked for here.
        SupervisorError: it is not ready in time, or doesn't answer.
    """
    home = Home(settings[config.DIRECTORY])
    deadline = time.monotonic() + STAGES * settings[options.START_TIMEOUT] + OWN_TIME
    while True:
        report = commands.status(home)
        if report is None or report.phase is Phase.STOPPING:
            return None
        if report.phase is Phase.RUNNING:
            break
        if time.monotonic() > deadline:
            raise SupervisorError(f"the supervisor (pid {report.pid}) does not get everything ready; look at `status`")
        time.sleep(PAUSE)
    differences = _differences(settings, report)
    if differences:
        raise AlreadyRunning(f"{commands.describe_supervisor(home)}, but {'; '.join(differences)}")
    return report


def wait_for_end(settings: Settings) -> None:
    """Wait until the supervisor of the directory has ended."""
    home = Home(settings[config.DIRECTORY])
    while is_held(home.lock):
        time.sleep(CALM)


def _differences(settings: Settings, report: SystemStatus) -> list[str]:
    """What runs otherwise than it is asked for: sentences for people. What nobody asked for may be as it is."""
    found = []
    sizes = {options.SERVER_COUNT: ProcessKind.SERVER, options.WORKER_COUNT: ProcessKind.WORKER}
    for option, kind in sizes.items():
        runs = sum(1 for unit in report.processes if unit.kind is kind)
        if settings.given(option) and settings[option] != runs:
            found.append(
                f"with {runs} {kind}s, not {settings[option]} (`scale {kind}s={settings[option]}` changes that)"
            )
    has_nginx = any(unit.kind is ProcessKind.NGINX for unit in report.processes)
    if settings.given(options.NGINX) and settings[options.NGINX] != has_nginx:
        found.append("with NGINX" if has_nginx else "without NGINX")
    if settings.given(config.BROKER):
        asked = open_broker(settings[config.BROKER], Path(report.directory)).description
        if asked != report.broker:
            found.append(f"on {report.broker}, not {asked}")
    return found


def _lock(home: Home) -> Lock:
    try:
        return Lock(home.lock)
    except AlreadyRunning as error:
        raise AlreadyRunning(commands.describe_supervisor(home)) from error


def _told(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment that repeats these settings. Flags would show a broker's password to everybody here."""
    told = {name: value for name, value in environment.items() if name != MARK}
    for option in settings.options:
        if settings.given(option):
            told[option.variable] = settings.origins[option.key].text
    return told


def _wait_until_ready(
    process: "subprocess.Popen[bytes]", home: Home, patience: float, tell: Callable[[SystemStatus], None]
) -> SystemStatus | None:
    """Wait for a supervisor in the background; None when it has ended."""
    deadline = time.monotonic() + patience
    while process.poll() is None:
        found = state.load(home.state, SupervisorState)
        if found is not None and found.identity.pid in process_identity.family(process.pid):
            report = commands.ask_status(found)
            if report is not None and report.phase is Phase.RUNNING:
                return report
            if report is not None:
                tell(report)
        if time.monotonic() > deadline:
            raise SupervisorError(f"the supervisor was not ready within {patience:g} seconds; see {home.log(LOG)}")
        time.sleep(PAUSE)
    return None


def _give_up(process: "subprocess.Popen[bytes]", timeout: float) -> None:
    """End a supervisor that nobody waits for any more. It takes down what it has started."""
    if process.poll() is None:
        identity = process_identity.identify(process.pid)
        if identity is not None:
            process_identity.ask_to_leave(identity, None)
        process.wait(timeout + OWN_TIME)


def _failure(code: int, log: Path, log_start: int) -> SupervisorError:
    """The error of a supervisor that ended before everything was ready."""
    lines = last_lines(log, log_start, 60)
    starts = [number for number, line in enumerate(lines) if line.startswith(f"{MODULE}: ")]
    if starts:
        reason = "\n".join(lines[starts[-1] :]).removeprefix(f"{MODULE}: ")
    else:
        reason = "\n  ".join([f"the supervisor ended with code {code}; its last lines, of {log}:", *lines[-15:]])
    error = AlreadyRunning(reason) if code == AlreadyRunning.exit_code else SupervisorError(reason)
    error.exit_code = code if code > 0 else SupervisorError.exit_code
    return error
