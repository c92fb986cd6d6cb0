"""Starts a supervisor, in the foreground or as a background process with its own session.

Nothing here prints: each function returns a value or raises an error.
"""

import logging
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from core import child_programs, config, encryption
from core.callbacks import ignore
from core.config import Settings, SettingSource
from core.errors import AlreadyRunning, SupervisorError
from core.repository.journal import Journal
from core.supervisor import commands, differences, options, service_manager, state
from core.supervisor.arguments import MODULE
from core.supervisor.assembly import assemble, check_settings
from core.supervisor.guard import guarding
from core.supervisor.home import Home
from core.supervisor.lock import Lock, is_held, take
from core.supervisor.logs.log_files import last_lines, open_log
from core.supervisor.logs.log_rotation import LogRotation
from core.supervisor.plan import LOCAL, MARK
from core.supervisor.processes import process_identity
from core.supervisor.processes.health import HealthMonitor, HealthReport
from core.supervisor.processes.process import HIDDEN_FLAGS
from core.supervisor.program import Supervisor
from core.supervisor.service_manager import ServiceNotifier
from core.supervisor.state import DesiredState, SupervisorState
from core.supervisor.status import Phase, SystemStatus
from core.threads import OnDeath

LOG = "supervisor"
POLL_INTERVAL = 0.05
END_POLL_INTERVAL = 0.5

OVERHEAD = 60.0
"""Seconds that a background supervisor may need beyond the timeouts of its processes."""

STAGES = 5
"""Stages of a start. The start timeout applies to each."""

_log = logging.getLogger("cauce.supervisor")


def up(settings: Settings, environment: Mapping[str, str], on_ready: Callable[[SystemStatus], None]) -> int:
    """Run the system until a signal or a request ends it. Returns the exit code.

    Processes that a killed supervisor has left running are adopted.

    Args:
        settings: the supervisor's settings.
        environment: the environment that the processes inherit.
        on_ready: called once, when everything is ready.

    Raises:
        AlreadyRunning: a supervisor runs in this directory.
        CauceError: a process can't be started; no process is left running.
    """
    home = Home(settings[config.DIRECTORY])
    if not home.path.exists():
        # Nothing was left running whose settings could complete these. A mistake leaves nothing behind.
        check_settings(settings)
    home.create()
    with _lock(home) as lock:
        inherited = service_manager.without_socket(environment)
        system = assemble(settings, inherited, home)
        journal = Journal(system.settings[config.DATABASE], home.directory)
        local = system.settings[config.BROKER] == LOCAL
        token = config.read_token(system.settings)
        tls = encryption.unverified_context() if encryption.for_server(system.settings) is not None else None

        def make_monitor(on_report: Callable[[HealthReport], None], on_death: OnDeath) -> HealthMonitor:
            broker = system.broker if local else None
            return HealthMonitor(journal.open_readonly, journal.check_writable, broker, token, on_report, on_death, tls)

        rotate_access_log = system.balancer.rotate if system.balancer is not None else ignore
        supervisor = Supervisor(
            system.spec,
            home,
            lock,
            make_monitor,
            LogRotation(home.logs, rotate_access_log),
            ServiceNotifier(environment),
            on_ready,
        )
        with guarding(home, system.settings, inherited):
            return supervisor.run()


def up_detached(
    settings: Settings, environment: Mapping[str, str], on_progress: Callable[[SystemStatus], None]
) -> SystemStatus:
    """Start the system in the background. Returns its status when everything is ready.

    Args:
        settings: the supervisor's settings.
        environment: the environment that the supervisor and its processes inherit.
        on_progress: called repeatedly with the status until everything is ready.

    Raises:
        AlreadyRunning: a supervisor runs in this directory, or has started at the same time.
        SupervisorError: a process can't be started; no process is left running.
    """
    home = Home(settings[config.DIRECTORY])
    if is_held(home.lock):
        raise AlreadyRunning(commands.describe_supervisor(home))
    home.create()
    log = home.log(LOG)
    with open_log(log) as output:
        log_start = output.tell()
        process = subprocess.Popen(  # noqa: S603 - no shell, and the command is our own
            child_programs.command(MODULE, "up", "--no-attach", "--json", "--dir", str(home.directory)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=output,
            env=child_programs.environment(_environment(settings, environment)),
            start_new_session=True,
            creationflags=HIDDEN_FLAGS,
        )
    timeout = STAGES * settings[options.START_TIMEOUT] + settings[options.STOP_TIMEOUT] + OVERHEAD
    try:
        report = _wait_until_ready(process, home, timeout, on_progress)
    except BaseException:
        _give_up(process, settings[options.STOP_TIMEOUT])
        raise
    if report is None:
        raise _failure(process.wait(), log, log_start)
    # A console may outlive the supervisor, which must not remain its zombie.
    threading.Thread(target=process.wait, name="supervisor-wait", daemon=True).start()
    return report


def attach(settings: Settings) -> SystemStatus | None:
    """Wait until the supervisor of the directory has everything ready, or has ended. Returns None in that case.

    Raises:
        AlreadyRunning: it runs with other settings.
        SupervisorError: it is not ready in time, or doesn't answer.
    """
    home = Home(settings[config.DIRECTORY])
    deadline = time.monotonic() + STAGES * settings[options.START_TIMEOUT] + OVERHEAD
    while True:
        report = commands.status(home)
        if report is None:
            return None
        if report.phase is Phase.RUNNING:
            break
        if time.monotonic() > deadline:
            raise SupervisorError(f"the supervisor (pid {report.pid}) is still {report.phase}; look at `status`")
        time.sleep(POLL_INTERVAL)
    started = state.load(home.desired_state, DesiredState) or DesiredState(asked={}, current={})
    found = differences.describe(settings, report, started)
    if found:
        raise AlreadyRunning(f"{commands.describe_supervisor(home)}; {found}")
    return report


def wait_for_end(settings: Settings) -> None:
    """Wait until the supervisor of the directory has ended."""
    home = Home(settings[config.DIRECTORY])
    while is_held(home.lock):
        time.sleep(END_POLL_INTERVAL)


def _lock(home: Home) -> Lock:
    try:
        return take(home.lock)
    except AlreadyRunning as error:
        raise AlreadyRunning(commands.describe_supervisor(home)) from error


def _environment(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with these settings. As flags, they would show a broker's password to all users."""
    result = {name: value for name, value in environment.items() if name != MARK}
    if settings.file and Path(settings.file) != settings[config.DIRECTORY] / config.FILE_NAME:
        result["CAUCE_CONFIG"] = str(Path(settings.file).absolute())
    for option in settings.options:
        origin = settings.origins[option.key]
        # The supervisor reads the file itself, and a system that starts takes nothing from the one that ran.
        if origin.source in {SettingSource.FLAG, SettingSource.ENVIRONMENT}:
            result[option.variable] = origin.text
    return result


def _wait_until_ready(
    process: "subprocess.Popen[bytes]", home: Home, timeout: float, on_progress: Callable[[SystemStatus], None]
) -> SystemStatus | None:
    """Wait for a background supervisor. Returns None when it has ended."""
    deadline = time.monotonic() + timeout
    while process.poll() is None:
        supervisor = state.load(home.state, SupervisorState)
        if supervisor is not None and supervisor.identity.pid in process_identity.pids_of(process.pid):
            report = commands.ask_status(supervisor)
            if report is not None and report.phase is Phase.RUNNING:
                return report
            if report is not None:
                on_progress(report)
        if time.monotonic() > deadline:
            raise SupervisorError(f"the supervisor was not ready within {timeout:g} seconds; see {home.log(LOG)}")
        time.sleep(POLL_INTERVAL)
    return None


def _give_up(process: "subprocess.Popen[bytes]", timeout: float) -> None:
    """End a supervisor whose start has failed or was interrupted. It takes down its processes."""
    if process.poll() is None:
        identity = process_identity.identify(process.pid)
        if identity is not None:
            process_identity.terminate(identity, None)
        process.wait(timeout + OVERHEAD)


def _failure(code: int, log: Path, log_start: int) -> SupervisorError:
    """Make the error of a supervisor that ended before everything was ready."""
    lines = last_lines(log, log_start, 60)
    errors = [number for number, line in enumerate(lines) if line.startswith(f"{MODULE}: ")]
    if errors:
        reason = "\n".join(lines[errors[-1] :]).removeprefix(f"{MODULE}: ")
    else:
        reason = "\n  ".join([f"the supervisor ended with code {code}; its last lines, of {log}:", *lines[-15:]])
    error = AlreadyRunning(reason) if code == AlreadyRunning.exit_code else SupervisorError(reason)
    error.exit_code = code if code > 0 else SupervisorError.exit_code
    return error
