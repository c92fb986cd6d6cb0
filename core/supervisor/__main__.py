# PYTHON_ARGCOMPLETE_OK
"""`python -m core.supervisor`: run the whole system on this machine, inspect it, change it, and stop it.

Each command calls the function that does the work, and passes the result to `output`.
"""

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from core import config, logs
from core.addresses import LOOPBACK, SERVERS, Address
from core.config import Settings, SettingSource
from core.errors import AlreadyRunning, SupervisorError
from core.launch import parse, report_errors
from core.repository.journal import Journal
from core.supervisor import arguments, commands, guard, launching, options, output
from core.supervisor.arguments import MODULE
from core.supervisor.display import describe_orphans
from core.supervisor.doctor import Verdict
from core.supervisor.home import Home
from core.supervisor.logs import logs_command
from core.supervisor.logs.log_reading import Level, LogFilter
from core.supervisor.nginx import configuration
from core.supervisor.processes import orphans
from core.supervisor.processes.stopping import StopTimeout
from core.supervisor.status import SystemStatus
from core.supervisor.waiting import wait_for

T = TypeVar("T")


STARTING = frozenset({"up", "doctor", "nginx-conf"})
"""The commands for a system that is to start. The others take the settings of the one that runs."""


def main() -> int:
    """Run the command that the command line names. Returns the exit code."""
    parser = arguments.make_parser(_known_names)
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete  # only a shell that completes a command needs it

        argcomplete.autocomplete(parser)
    given = parse(parser)
    return report_errors(MODULE, lambda: _run(given))


def run() -> None:
    """Run the command `cauce`."""
    sys.exit(main())


def _run(given: argparse.Namespace) -> int:
    if given.command == "completion":
        return _completion(given.shell)
    settings = config.load(options.OPTIONS, given, os.environ, ask_system=given.command not in STARTING)
    if given.show_config:
        sys.stdout.write(f"{settings.describe()}\n")
        return 0
    logs.set_up(settings[config.LOG_LEVEL], settings[config.LOG_FORMAT], "supervisor")
    return COMMANDS[given.command](settings, given)


# Commands that change the system.


def _up(settings: Settings, given: argparse.Namespace) -> int:
    """Become the supervisor of the directory, or attach to the one that runs."""
    environment = dict(os.environ)
    if given.config:
        environment["CAUCE_CONFIG"] = str(Path(given.config).absolute())
    while True:
        try:
            return _start(settings, environment, given)
        except AlreadyRunning:
            if not given.attach:
                raise
            report = launching.attach(settings)
        # Without a report, that supervisor has ended meanwhile and the directory is free.
        if report is not None:
            return _follow(settings, report, given)


def _start(settings: Settings, environment: dict[str, str], given: argparse.Namespace) -> int:
    if given.detach:
        with output.Progress() as progress:
            report = launching.up_detached(settings, environment, progress.show_starting)
        output.write_started(report, "", as_json=given.json)
        return 0

    def announce(report: SystemStatus) -> None:
        # The system goes on even when the reader of the output has left.
        with contextlib.suppress(OSError):
            output.write_started(report, "Ctrl-C takes everything down", as_json=given.json)

    return launching.up(settings, environment, announce)


def _follow(settings: Settings, report: SystemStatus, given: argparse.Namespace) -> int:
    """Print the status of another supervisor's system and, unless detached, wait until it ends."""
    if given.detach:
        output.write_started(report, "", as_json=given.json)
        return 0
    with contextlib.suppress(KeyboardInterrupt):
        last_line = "another supervisor runs it, and goes on after Ctrl-C here"
        output.write_started(report, last_line, as_json=given.json)
        launching.wait_for_end(settings)
    return 0


def _down(settings: Settings, given: argparse.Namespace) -> int:
    home = Home(settings[config.DIRECTORY])
    timeout = settings[options.STOP_TIMEOUT] if settings.given(options.STOP_TIMEOUT) else None
    result = _with_progress(home, lambda: commands.down(home, timeout), ())
    output.write_stopped(result, as_json=given.json)
    return 0


def _operate(settings: Settings, given: argparse.Namespace) -> int:
    home = Home(settings[config.DIRECTORY])
    timeout = _stop_timeout(settings)
    report = _with_progress(
        home, lambda: commands.operate(home, given.command, given.names, stop_timeout=timeout), given.names
    )
    output.write_status(report, as_json=given.json)
    return 0


def _stop_timeout(settings: Settings) -> StopTimeout | None:
    """Return the time that processes have to end, or None when it is left to the supervisor."""
    if not settings.given(options.STOP_TIMEOUT):
        return None
    for_all = settings.origins[options.STOP_TIMEOUT.key].source is SettingSource.FLAG
    return StopTimeout(settings[options.STOP_TIMEOUT], for_all=for_all)


def _scale(settings: Settings, given: argparse.Namespace) -> int:
    home = Home(settings[config.DIRECTORY])
    sizes: dict[str, int] = dict(given.sizes)
    servers, workers = sizes.get("servers"), sizes.get("workers")
    before = commands.status(home)
    surplus = before.surplus(servers, workers) if before else ()
    report = _with_progress(home, lambda: commands.scale(home, servers=servers, workers=workers), surplus)
    output.write_status(report, as_json=given.json)
    return 0


def _redispatch(settings: Settings, _: argparse.Namespace) -> int:
    number = commands.redispatch(Journal(settings[config.DATABASE], Home(settings[config.DIRECTORY]).directory))
    sys.stdout.write(f"{number} queued tasks will be published again\n")
    return 0


def _guard(settings: Settings, _: argparse.Namespace) -> int:
    return guard.run(Home(settings[config.DIRECTORY]), settings[options.STOP_TIMEOUT])


# Commands that only read.


def _status(settings: Settings, given: argparse.Namespace) -> int:
    home = Home(settings[config.DIRECTORY])
    report = commands.status(home)
    if report is not None:
        output.write_status(report, as_json=given.json)
        return 0 if report.ready else 1
    left = orphans.find(home)
    if given.json:
        sys.stdout.write("null\n")
    elif left:
        named = [(orphan.name, orphan.identity.pid) for orphan in left if orphan.kind is not None]
        what = (
            f"no supervisor runs in {home.directory}, but these do: {describe_orphans(named, len(left) - len(named))}"
        )
        sys.stdout.write(f"{logs.printable(what)}; `up` goes on with them, `down` ends them\n")
    else:
        sys.stdout.write(f"nothing is running in {logs.printable(str(home.directory))}\n")
    return 1


def _logs(settings: Settings, given: argparse.Namespace) -> int:
    logs_command.show(
        Home(settings[config.DIRECTORY]),
        given.names or None,
        limit=given.lines,
        follow=given.follow,
        log_filter=LogFilter(
            min_level=Level[given.level.upper()],
            containing=given.grep,
            since=None if given.since is None else time.time() - given.since,
        ),
        write=output.log_writer(as_json=given.json),
        wait=_sleep,
    )
    return 0


def _sleep(seconds: float) -> bool:
    """Wait. Returns false, because only an interrupt ends the command."""
    time.sleep(seconds)
    return False


def _doctor(settings: Settings, given: argparse.Namespace) -> int:
    from core.supervisor.doctor.examination import examine  # no other command needs its checks

    findings = examine(settings, os.environ, Home(settings[config.DIRECTORY]))
    found = output.write_findings(findings, as_json=given.json)
    return int(any(finding.verdict is Verdict.PROBLEM for finding in found))


def _sql(settings: Settings, given: argparse.Namespace) -> int:
    from core.supervisor import sql  # no other command opens the database itself

    journal = Journal(settings[config.DATABASE], Home(settings[config.DIRECTORY]).directory)
    sql.run(journal, given.statement, as_json=given.json)
    return 0


def _nginx_conf(settings: Settings, _: argparse.Namespace) -> int:
    count = settings[options.SERVER_COUNT] if settings.given(options.SERVER_COUNT) else len(SERVERS)
    first = settings[options.SERVER_PORT]
    servers = [Address(LOOPBACK, first + number) for number in range(count)]
    sys.stdout.write(configuration.render(settings[options.LISTEN], servers))
    return 0


def _completion(shell: str) -> int:
    from argcomplete.shell_integration import shellcode  # no other command needs it

    sys.stdout.write(shellcode(["cauce"], shell=shell))
    return 0


def _known_names(parsed_args: argparse.Namespace, **_: object) -> list[str]:
    """Return the names of processes, for a shell that completes a command."""
    given = getattr(parsed_args, config.DIRECTORY.destination, None)
    home = Home(Path(given or os.environ.get(config.DIRECTORY.variable, ".")))
    if parsed_args.command == "logs":
        return [path.stem for path in home.logs()]
    names = ["servers", "workers", "declared", "all"]
    with contextlib.suppress(SupervisorError):
        report = commands.status(home)
        names += [unit.name for unit in report.processes] if report else []
    return names


COMMANDS: dict[str, Callable[[Settings, argparse.Namespace], int]] = {
    "up": _up,
    "down": _down,
    "status": _status,
    "start": _operate,
    "stop": _operate,
    "restart": _operate,
    "kill": _operate,
    "scale": _scale,
    "logs": _logs,
    "doctor": _doctor,
    "redispatch": _redispatch,
    "sql": _sql,
    "nginx-conf": _nginx_conf,
    guard.COMMAND: _guard,
}


def _with_progress(home: Home, work: Callable[[], T], stopping: Sequence[str]) -> T:
    """Do `work` and show which processes it waits for. An interrupt kills those in `stopping` at once."""
    with output.Progress() as progress:

        def show() -> None:
            with contextlib.suppress(SupervisorError):
                progress.show_stopping(commands.status(home))

        return wait_for(work, show, lambda: commands.force_stop(home, stopping))


if __name__ == "__main__":
    run()
