"""`python -m core.supervisor`: run the whole system on this machine, look at it, take it down."""

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core import config, logs
from core.addresses import LOOPBACK, SERVERS, Address
from core.config import Option, Settings
from core.launch import explained, parser_for
from core.repository.opening import Journal
from core.supervisor import commands, launching, options, orphans
from core.supervisor.home import Home
from core.supervisor.launching import MODULE
from core.supervisor.nginx_configuration import render
from core.supervisor.report import PartState, Report, Stopped

DOWN_TIMEOUT = replace(options.STOP_TIMEOUT, flags=("--timeout",))

CODES = """\
exit codes: 0 all is well, 1 something is not (status: something is not ready, or nothing runs), 2 a setting is wrong,
3 the broker can't be used, 4 a supervisor runs in this directory already, 5 the journal can't be used"""

STYLES = {
    PartState.READY: "green",
    PartState.TROUBLED: "yellow",
    PartState.RESTARTING: "yellow",
    PartState.STARTING: "yellow",
    PartState.CRASHED: "bold red",
}


def main() -> int:
    """Do what the command line says; the exit code."""
    arguments = parse()
    return explained(MODULE, lambda: _run(arguments))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = parser_for(MODULE, "Run servers, workers and NGINX on this machine, and keep them running.")
    parser.epilog = CODES
    commands_of = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str, shown: Sequence[Option[object]]) -> argparse.ArgumentParser:
        command = commands_of.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=CODES)
        config.add_arguments(command, shown)
        return command

    up = add("up", "start everything, wait until it is ready, and keep it running", options.OPTIONS)
    up.add_argument("--detach", action="store_true", help="go on in the background once everything is ready")
    up.add_argument("--json", action="store_true", help="when everything is ready, print one JSON object")
    down = add("down", "end everything in order, and make sure that nothing is left", (config.DIRECTORY, DOWN_TIMEOUT))
    down.add_argument("--json", action="store_true", help="print one JSON object")
    status = add("status", "say how each process is; exit code 0 when all are ready", (config.DIRECTORY,))
    status.add_argument("--json", action="store_true", help="print one JSON object")
    add(
        "redispatch",
        "have every queued task published again, for when the broker has lost its messages",
        (config.DIRECTORY, config.DATABASE),
    )
    add(
        "nginx-conf",
        "print NGINX's configuration for these addresses",
        (options.LISTEN, options.SERVER_COUNT, options.SERVER_PORT),
    )
    return parser.parse_args(arguments)


def _run(arguments: argparse.Namespace) -> int:
    settings = config.load(options.OPTIONS, arguments, os.environ)
    if arguments.show_config:
        sys.stdout.write(f"{settings.describe()}\n")
        return 0
    logs.set_up(settings[config.LOG_LEVEL], settings[config.LOG_FORMAT], "supervisor")
    home = Home(settings[config.DIRECTORY])
    match arguments.command:
        case "up":
            return _up(settings, arguments)
        case "down":
            return _down(home, settings[options.STOP_TIMEOUT], as_json=arguments.json)
        case "status":
            return _status(home, as_json=arguments.json)
        case "redispatch":
            return _redispatch(Journal(settings[config.DATABASE], home.directory))
        case _:
            return _nginx_conf(settings)


def _up(settings: Settings, arguments: argparse.Namespace) -> int:
    environment = dict(os.environ)
    if arguments.config:
        environment["CAUCE_CONFIG"] = str(Path(arguments.config).absolute())
    if arguments.detach:
        _announce(launching.up_detached(settings, environment), as_json=arguments.json, detached=True)
        return 0

    def announce(report: Report) -> None:
        # A reader that has left is no reason to take the system down.
        with contextlib.suppress(OSError):
            _announce(report, as_json=arguments.json, detached=False)

    return launching.up(settings, environment, announce)


def _down(home: Home, timeout: float, *, as_json: bool) -> int:
    stopped = commands.down(home, timeout)
    if as_json:
        _write_json(stopped)
    else:
        sys.stdout.write(f"{_tell_stopped(stopped)}\n")
    return 0


def _status(home: Home, *, as_json: bool) -> int:
    report = commands.status(home)
    if report is not None:
        if as_json:
            _write_json(report)
        else:
            _print(report)
        return 0 if report.ready else 1
    left = [f"{orphan.name} (pid {orphan.identity.pid})" for orphan in orphans.find(home)]
    if as_json:
        sys.stdout.write("null\n")
    elif left:
        sys.stdout.write(f"no supervisor runs in {home.directory}, but these do: {', '.join(left)}; `down` ends them\n")
    else:
        sys.stdout.write(f"nothing is running in {home.directory}\n")
    return 1


def _redispatch(journal: Journal) -> int:
    number = commands.redispatch(journal)
    sys.stdout.write(f"{number} queued tasks will be published again\n")
    return 0


def _nginx_conf(settings: Settings) -> int:
    count = settings[options.SERVER_COUNT] if settings.given(options.SERVER_COUNT) else len(SERVERS)
    first = settings[options.SERVER_PORT]
    servers = [Address(LOOPBACK, first + number) for number in range(count)]
    sys.stdout.write(render(settings[options.LISTEN], servers))
    return 0


def _announce(report: Report, *, as_json: bool, detached: bool) -> None:
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
    lines.append(f"  python -m {MODULE} down{where}" if detached else "Ctrl-C takes everything down")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _print(report: Report) -> None:
    table = Table(
        "process", "state", "pid", "address", "restarts", "note", box=None, pad_edge=False, header_style="bold"
    )
    for part in report.processes:
        state = Text(str(part.state), STYLES.get(part.state, ""))
        pid = "" if part.pid is None else str(part.pid)
        note = Text(logs.printable(part.note))
        table.add_row(part.name, state, pid, part.address, str(part.restarts or ""), note)
    console = Console()
    console.print(table)
    # Text, not markup: a path may hold brackets.
    told = [
        f"clients connect to {report.listen or 'no server'}; broker: {report.broker}; directory: {report.directory}"
    ]
    console.print(Text("\n".join(map(logs.printable, [*told, *report.remarks]))), soft_wrap=True)


def _tell_stopped(stopped: Stopped) -> str:
    if not stopped.stopped and not stopped.killed:
        return "nothing is running here"
    ended = f"ended: {', '.join(stopped.stopped) or 'none in good order'}"
    killed = f"; had to be killed: {', '.join(stopped.killed)}" if stopped.killed else ""
    return f"{ended}{killed}; nothing is left running"


def _write_json(value: msgspec.Struct) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
