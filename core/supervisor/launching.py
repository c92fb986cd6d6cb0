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

from core import config
from core.broker.opening import open_broker
from core.config import Settings
from core.errors import AlreadyRunning, SupervisorError
from core.repository.opening import Journal
from core.supervisor import census, commands, nginx, options, orphans, plan, ports, state
from core.supervisor.home import Home
from core.supervisor.lock import Lock, is_held
from core.supervisor.logfiles import last_lines, open_log
from core.supervisor.nginx_configuration import render
from core.supervisor.plan import MARK, Layout
from core.supervisor.process import HIDDEN
from core.supervisor.program import Supervisor, Undertaking
from core.supervisor.report import Phase, Report
from core.supervisor.state import SupervisorState

MODULE = "core.supervisor"
LOG = "supervisor"
PAUSE = 0.05

OWN_TIME = 60.0
"""Seconds that a supervisor in the background may need beside the time of what it starts."""

_log = logging.getLogger("cauce.supervisor")


def up(settings: Settings, environment: Mapping[str, str], announce: Callable[[Report], None]) -> int:
    """Run the system until it is told to end; the exit code.

    Args:
        settings: as `options` describes them.
        environment: what the processes inherit.
        announce: called once, when everything is ready.

    Raises:
        AlreadyRunning: a supervisor runs in this directory.
        CauceError: something can't be started; nothing is left running then.
    """
    token = config.read_token(settings)
    plan.check(settings, token=token is not None)
    home = Home(settings[config.DIRECTORY])
    journal = Journal(settings[config.DATABASE], home.directory)
    broker = open_broker(settings[config.BROKER], home.directory)
    home.create()
    with _lock(home):
        _end_orphans(home, settings[options.STOP_TIMEOUT])
        broker.prepare()
        choice = ports.choose(settings)
        for remark in choice.remarks:
            _log.warning("%s", remark)
        program = _prepare_nginx(home, choice.layout)
        undertaking = Undertaking(
            specs=plan.make(settings, home, choice.layout, sys.executable, program),
            layout=choice.layout,
            broker=broker.description,
            remarks=choice.remarks,
            token=token,
            start_timeout=settings[options.START_TIMEOUT],
            stop_timeout=settings[options.STOP_TIMEOUT],
        )
        return Supervisor(undertaking, home, journal.reading(), environment, announce).run()


def up_detached(settings: Settings, environment: Mapping[str, str]) -> Report:
    """Run the system in the background, and return when everything is ready.

    Args:
        settings: as `options` describes them.
        environment: what the supervisor and its processes inherit.

    Raises:
        AlreadyRunning: a supervisor runs in this directory.
        SupervisorError: something can't be started; says what, and nothing is left running.
    """
    home = Home(settings[config.DIRECTORY])
    if is_held(home.lock):
        raise AlreadyRunning(commands.where_it_runs(home))
    home.create()
    log = home.log(LOG)
    with open_log(log) as output:
        log_start = output.tell()
        process = subprocess.Popen(  # noqa: S603 - no shell, and the command is our own
            [sys.executable, "-m", MODULE, "up", "--json", "--dir", str(home.directory)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_told(settings, environment),
            start_new_session=True,
            creationflags=HIDDEN,
        )
    patience = 3 * settings[options.START_TIMEOUT] + settings[options.STOP_TIMEOUT] + OWN_TIME
    try:
        report = _wait_until_ready(process, home, patience)
    except BaseException:
        _give_up(process, settings[options.STOP_TIMEOUT])
        raise
    if report is None:
        raise _failure(process.wait(), log, log_start)
    # A console lives long: it must not keep the supervisor as a zombie once that has ended.
    threading.Thread(target=process.wait, name="supervisor-wait", daemon=True).start()
    return report


def _lock(home: Home) -> Lock:
    try:
        return Lock(home.lock)
    except AlreadyRunning as error:
        raise AlreadyRunning(commands.where_it_runs(home)) from error


def _end_orphans(home: Home, timeout: float) -> None:
    """End what a supervisor that was killed left running: it would take tasks and ports from what is to start."""
    found = orphans.find(home)
    if not found:
        return
    names = ", ".join(f"{orphan.name} (pid {orphan.identity.pid})" for orphan in found)
    _log.warning("a former supervisor was killed and left %s running: ending them first", names)
    left = orphans.sweep(home, timeout).left
    if left:
        raise SupervisorError(f"these processes of a former supervisor can't be ended: {', '.join(map(str, left))}")


def _prepare_nginx(home: Home, layout: Layout) -> Path | None:
    """Make NGINX's directory, and let it test its configuration."""
    if layout.listen is None:
        return None
    program = nginx.find_nginx()
    if program is None:
        raise SupervisorError(
            "NGINX is not on this machine: install it (Debian: apt-get install nginx libnginx-mod-stream), "
            "or leave --nginx out: clients can share themselves out over several servers"
        )
    nginx.prepare_prefix(program, home.nginx, render(layout.listen, layout.servers))
    nginx.check(program, home.nginx)
    return program


def _told(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment that repeats these settings. Flags would show a broker's password to everybody here."""
    told = {name: value for name, value in environment.items() if name != MARK}
    for option in settings.options:
        if settings.given(option):
            told[option.variable] = settings.origins[option.key].text
    return told


def _wait_until_ready(process: "subprocess.Popen[bytes]", home: Home, patience: float) -> Report | None:
    """Wait for a supervisor in the background; None when it has ended."""
    deadline = time.monotonic() + patience
    while process.poll() is None:
        found = state.load(home.state, SupervisorState)
        if found is not None and found.identity.pid in census.family(process.pid):
            report = commands.ask_status(found)
            if report is not None and report.phase is Phase.RUNNING:
                return report
        if time.monotonic() > deadline:
            raise SupervisorError(f"the supervisor was not ready within {patience:g} seconds; see {home.log(LOG)}")
        time.sleep(PAUSE)
    return None


def _give_up(process: "subprocess.Popen[bytes]", timeout: float) -> None:
    """End a supervisor that nobody waits for any more. It takes down what it has started."""
    if process.poll() is None:
        identity = census.identify(process.pid)
        if identity is not None:
            census.ask_to_leave(identity, None)
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
