# PYTHON_ARGCOMPLETE_OK
"""`python -m core.supervisor`: run the whole system on this machine, look at it, change it, take it down."""

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core import config, logs
from core.addresses import LOOPBACK, SERVERS, Address
from core.config import Settings
from core.errors import AlreadyRunning, SupervisorError
from core.formatting import coarse_duration, memory, processor_share
from core.launch import report_errors
from core.repository.journal import Journal
from core.supervisor import arguments, commands, doctor, guard, launching, options
from core.supervisor.arguments import MODULE
from core.supervisor.display import left_behind, not_ready, waiting_for
from core.supervisor.doctor import Finding, Verdict
from core.supervisor.home import Home
from core.supervisor.logs import log_reading, logs_command
from core.supervisor.logs.log_reading import Level, LogFilter, LogLine
from core.supervisor.nginx import configuration
from core.supervisor.processes import orphans
from core.supervisor.status import Phase, StopResult, SystemStatus, UnitState
from core.supervisor.waiting import wait_for

STYLES = {
    UnitState.READY: "green",
    UnitState.TROUBLED: "yellow",
    UnitState.RESTARTING: "yellow",
    UnitState.STARTING: "yellow",
    UnitState.STOPPING: "yellow",
    UnitState.STOPPED: "dim",
    UnitState.CRASHED: "bold red",
}
VERDICTS = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.PROBLEM: "bold red"}
T = TypeVar("T")

WIDE = 300
"""Columns for what is read by no terminal: nothing is cut off there."""

LEVELS = {Level.DEBUG: "dim", Level.WARNING: "yellow", Level.ERROR: "red", Level.CRITICAL: "bold red"}


def main() -> int:
    """Do what the command line says; the exit code."""
    parser = arguments.parser(_known_names)
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete  # a shell asks for words; nothing else needs it

        argcomplete.autocomplete(parser)
    given = parser.parse_args()
    return report_errors(MODULE, lambda: _run(given))


def run() -> None:
    """The command `cauce`."""
    sys.exit(main())


def _run(given: argparse.Namespace) -> int:
    if given.command == "completion":
        return _completion(given.shell)
    settings = config.load(options.OPTIONS, given, os.environ)
    if given.show_config:
        sys.stdout.write(f"{settings.describe()}\n")
        return 0
    logs.set_up(settings[config.LOG_LEVEL], settings[config.LOG_FORMAT], "supervisor")
    return COMMANDS[given.command](settings, given)


# What changes the system.


def _up(settings: Settings, given: argparse.Namespace) -> int:
    """Become the supervisor of the directory, or attach to the one that there is."""
    environment = dict(os.environ)
    if given.config:
        environment["CAUCE_CONFIG"] = str(Path(given.config).absolute())
    while True:
        try:
            return _begin(settings, environment, given)
        except AlreadyRunning:
            if not given.attach:
                raise
            report = launching.attach(settings)
        # It may have ended meanwhile; then the directory is free.
        if report is not None:
            return _attached(settings, report, given)


def _begin(settings: Settings, environment: dict[str, str], given: argparse.Namespace) -> int:
    if given.detach:
        with Progress() as progress:
            report = launching.up_detached(settings, environment, progress.starting)
        _announce(report, "", as_json=given.json)
        return 0

    def announce(report: SystemStatus) -> None:
        # A reader that has left is no reason to take the system down.
        with contextlib.suppress(OSError):
            _announce(report, "Ctrl-C takes everything down", as_json=given.json)

    return launching.up(settings, environment, announce)


def _attached(settings: Settings, report: SystemStatus, given: argparse.Namespace) -> int:
    if given.detach:
        _announce(report, "", as_json=given.json)
        return 0
    with contextlib.suppress(KeyboardInterrupt):
        _announce(report, "another supervisor runs it, and goes on after Ctrl-C here", as_json=given.json)
        launching.wait_for_end(settings)
    return 0


def _down(settings: Settings, given: argparse.Namespace) -> int:
    home = Home(settings[config.DIRECTORY])
    timeout = settings[options.STOP_TIMEOUT]
    stopped = _attended(home, lambda: commands.down(home, timeout), ())
    if given.json:
        _write_json(stopped)
    else:
        sys.stdout.write(f"{_tell_stopped(stopped)}\n")
    return 0


def _operate(settings: Settings, given: argparse.Namespace) -> int:
    home = Home(settings[config.DIRECTORY])
    named = getattr(given, options.STOP_TIMEOUT.destination, None) is not None
    timeout = settings[options.STOP_TIMEOUT] if named else None
    report = _attended(
        home, lambda: commands.operate(home, given.command, given.names, stop_timeout=timeout), given.names
    )
    _show(report, as_json=given.json)
    return 0


def _scale(settings: Settings, given: argparse.Namespace) -> int:
    home = Home(settings[config.DIRECTORY])
    sizes: dict[str, int] = dict(given.sizes)
    servers, workers = sizes.get("servers"), sizes.get("workers")
    before = commands.status(home)
    surplus = before.surplus(servers, workers) if before else ()
    report = _attended(home, lambda: commands.scale(home, servers=servers, workers=workers), surplus)
    _show(report, as_json=given.json)
    return 0


def _redispatch(settings: Settings, _: argparse.Namespace) -> int:
    number = commands.redispatch(Journal(settings[config.DATABASE], Home(settings[config.DIRECTORY]).directory))
    sys.stdout.write(f"{number} queued tasks will be published again\n")
    return 0


def _guard(settings: Settings, _: argparse.Namespace) -> int:
    return guard.run(Home(settings[config.DIRECTORY]), settings[options.STOP_TIMEOUT])


# What only looks.


def _status(settings: Settings, given: argparse.Namespace) -> int:
    home = Home(settings[config.DIRECTORY])
    report = commands.status(home)
    if report is not None:
        _show(report, as_json=given.json)
        return 0 if report.ready else 1
    left = orphans.find(home)
    if given.json:
        sys.stdout.write("null\n")
    elif left:
        named = [(orphan.name, orphan.identity.pid) for orphan in left if orphan.kind is not None]
        what = f"no supervisor runs in {home.directory}, but these do: {left_behind(named, len(left) - len(named))}"
        sys.stdout.write(f"{logs.printable(what)}; `up` goes on with them, `down` ends them\n")
    else:
        sys.stdout.write(f"nothing is running in {logs.printable(str(home.directory))}\n")
    return 1


def _logs(settings: Settings, given: argparse.Namespace) -> int:
    home = Home(settings[config.DIRECTORY])
    console = Console(highlight=False)

    def write(line: LogLine) -> None:
        if given.json:
            _write_json(log_reading.as_json(line))
        elif console.is_terminal:
            style = "" if line.level is None else LEVELS.get(line.level, "")
            console.print(Text(log_reading.as_text(line), style), soft_wrap=True)
        else:
            sys.stdout.write(f"{log_reading.as_text(line)}\n")
            sys.stdout.flush()

    logs_command.show(
        home,
        given.names or None,
        most=given.lines,
        follow=given.follow,
        wanted=LogFilter(
            least_level=Level[given.level.upper()],
            containing=given.grep,
            since=None if given.since is None else time.time() - given.since,
        ),
        write=write,
        stop=_sleep,
    )
    return 0


def _sleep(seconds: float) -> bool:
    """Wait; only an interrupt ends what waits so."""
    time.sleep(seconds)
    return False


def _doctor(settings: Settings, given: argparse.Namespace) -> int:
    home = Home(settings[config.DIRECTORY])
    console = Console(highlight=False)
    found = []
    for finding in doctor.examine(settings, os.environ, home):
        found.append(finding)
        if not given.json:
            _print_finding(console, finding)
    if given.json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    return int(any(finding.verdict is Verdict.PROBLEM for finding in found))


def _nginx_conf(settings: Settings, _: argparse.Namespace) -> int:
    count = settings[options.SERVER_COUNT] if settings.given(options.SERVER_COUNT) else len(SERVERS)
    first = settings[options.SERVER_PORT]
    servers = [Address(LOOPBACK, first + number) for number in range(count)]
    sys.stdout.write(configuration.render(settings[options.LISTEN], servers))
    return 0


def _completion(shell: str) -> int:
    from argcomplete.shell_integration import shellcode  # nothing else needs it

    sys.stdout.write(shellcode(["cauce"], shell=shell))
    return 0


def _known_names(parsed_args: argparse.Namespace, **_: object) -> list[str]:
    """The processes that can be named, for a shell that completes words."""
    given = getattr(parsed_args, config.DIRECTORY.destination, None)
    home = Home(Path(given or os.environ.get(config.DIRECTORY.variable, ".")))
    if parsed_args.command == "logs":
        return [path.stem for path in home.logs()]
    names = ["servers", "workers", "declared", "all"]
    with contextlib.suppress(SupervisorError):
        report = commands.status(home)
        names += [part.name for part in report.processes] if report else []
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
    "nginx-conf": _nginx_conf,
    guard.COMMAND: _guard,
}


# How it is told.


class Progress:
    """Tells on standard error on whom something waits: a line that is written anew on a terminal, else now and then."""

    EVERY = 5.0

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._live = self._console.status("") if self._console.is_terminal else None
        self._told_at = time.monotonic()

    def __enter__(self) -> "Progress":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def starting(self, report: SystemStatus) -> None:
        """Tell what is not ready yet."""
        if report.phase is Phase.STARTING:
            self._tell(f"starting; waiting for {not_ready(report)}")

    def stopping(self, report: SystemStatus | None) -> None:
        """Tell what has been told to end and has not yet."""
        if report is not None and report.stopping:
            self._tell(f"{waiting_for(report)}; Ctrl-C kills now")

    def _tell(self, text: str) -> None:
        shown = Text(logs.printable(text))
        if self._live is not None:
            self._live.update(shown)
        elif time.monotonic() - self._told_at >= self.EVERY:
            self._told_at = time.monotonic()
            self._console.print(shown, soft_wrap=True)


def _attended(home: Home, work: Callable[[], T], stopping: Sequence[str]) -> T:
    """Do what may take long, and tell on whom it waits; an interrupt kills at once what is to stop."""
    with Progress() as progress:

        def tell() -> None:
            with contextlib.suppress(SupervisorError):
                progress.stopping(commands.status(home))

        return wait_for(work, tell, lambda: commands.force_stop(home, stopping))


def _show(report: SystemStatus, *, as_json: bool) -> None:
    if as_json:
        _write_json(report)
    else:
        _print(report)


def _announce(report: SystemStatus, farewell: str, *, as_json: bool) -> None:
    if as_json:
        _write_json(report)
        return
    _print(report)
    where = f" -d {report.directory}" if Path(report.directory) != Path.cwd() else ""
    lines = ["try:"]
    if report.listen:
        lines.append(f'  python -m core.client submit --server {report.listen} --kind wordcount "uno dos tres" --wait')
    lines.append(f"  python -m core.monitor{where}")
    lines.append(f"  python -m {MODULE} status{where}")
    lines.append(farewell or f"  python -m {MODULE} down{where}")
    sys.stdout.write("\n".join(map(logs.printable, lines)) + "\n")
    sys.stdout.flush()


def _print(report: SystemStatus) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("process", "state", "pid", "address"):
        table.add_column(heading, no_wrap=True)
    for heading in ("up", "restarts", "cpu", "memory"):
        table.add_column(heading, no_wrap=True, justify="right")
    table.add_column("note", overflow="fold")
    now = time.time()
    for part in report.processes:
        state = str(part.state) if part.kill_in is None else f"{part.state}, killed in {part.kill_in:.0f} s"
        table.add_row(
            part.name,
            Text(state, STYLES.get(part.state, "")),
            "" if part.pid is None else str(part.pid),
            part.address,
            "" if part.started_at is None else coarse_duration(now - part.started_at),
            str(part.restarts or ""),
            processor_share(part.cpu),
            memory(part.memory),
            Text(logs.printable(part.note)),
        )
    console = Console()
    if not console.is_terminal:
        console.width = WIDE
    console.print(table)
    # Text, not markup: a path may hold brackets.
    told = f"clients connect to {report.listen or 'no server'}; broker: {report.broker}; directory: {report.directory}"
    console.print(Text("\n".join(map(logs.printable, [told, *report.remarks]))), soft_wrap=True)


def _print_finding(console: Console, finding: Finding) -> None:
    heading = Text(f"{finding.verdict:8}", VERDICTS[finding.verdict])
    heading.append(f"{finding.check:14}", "bold").append(logs.printable(finding.text), "default not bold")
    console.print(heading, soft_wrap=True)
    if finding.remedy:
        console.print(Text(f"{'':8}{'':14}→ {logs.printable(finding.remedy)}", "cyan"), soft_wrap=True)


def _tell_stopped(stopped: StopResult) -> str:
    if not stopped.stopped and not stopped.killed:
        return "nothing is running here"
    ended = f"ended: {', '.join(stopped.stopped) or 'none in good order'}"
    killed = f"; had to be killed: {', '.join(stopped.killed)}" if stopped.killed else ""
    return f"{ended}{killed}; nothing is left running"


def _write_json(value: msgspec.Struct) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run()
