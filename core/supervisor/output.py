"""What the commands of the supervisor print: the table of processes, JSON, findings, log lines and progress.

It decides nothing and reads no system: it is given values. The shorter texts are in `display`.
"""

import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core import logs
from core.formatting import coarse_duration, memory, processor_share
from core.supervisor.arguments import MODULE
from core.supervisor.display import not_ready, waiting_for
from core.supervisor.doctor import Finding, Verdict
from core.supervisor.logs import log_reading
from core.supervisor.logs.log_reading import Level, LogLine
from core.supervisor.status import Phase, StopResult, SystemStatus, UnitState

STATE_STYLES = {
    UnitState.READY: "green",
    UnitState.TROUBLED: "yellow",
    UnitState.RESTARTING: "yellow",
    UnitState.STARTING: "yellow",
    UnitState.STOPPING: "yellow",
    UnitState.STOPPED: "dim",
    UnitState.CRASHED: "bold red",
}
VERDICT_STYLES = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.PROBLEM: "bold red"}
LEVEL_STYLES = {Level.DEBUG: "dim", Level.WARNING: "yellow", Level.ERROR: "red", Level.CRITICAL: "bold red"}

FILE_WIDTH = 300
"""Columns of a table that is not shown on a terminal, so that nothing is cut off."""

PROGRESS_INTERVAL = 5.0
"""Seconds between two lines of progress where there is no terminal."""


class Progress:
    """Shows on standard error which processes a command waits for.

    On a terminal this is one line that changes; elsewhere it is a line now and then.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._live = self._console.status("") if self._console.is_terminal else None
        self._printed_at = time.monotonic()

    def __enter__(self) -> "Progress":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show_starting(self, report: SystemStatus) -> None:
        """Show which processes are not ready yet."""
        if report.phase is Phase.STARTING:
            self._show(f"starting; waiting for {not_ready(report)}")

    def show_stopping(self, report: SystemStatus | None) -> None:
        """Show which processes were asked to end and still run."""
        if report is not None and report.stopping:
            self._show(f"{waiting_for(report)}; Ctrl-C kills now")

    def _show(self, text: str) -> None:
        line = Text(logs.printable(text))
        if self._live is not None:
            self._live.update(line)
        elif time.monotonic() - self._printed_at >= PROGRESS_INTERVAL:
            self._printed_at = time.monotonic()
            self._console.print(line, soft_wrap=True)


def write_json(value: msgspec.Struct) -> None:
    """Print a value as one line of JSON."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def write_status(report: SystemStatus, *, as_json: bool) -> None:
    """Print the status of the system."""
    if as_json:
        write_json(report)
    else:
        _write_table(report)


def write_started(report: SystemStatus, last_line: str, *, as_json: bool) -> None:
    """Print the status of a started system and the commands to go on with.

    Args:
        report: the status of the system.
        last_line: the last line; when empty, the command that stops the system.
        as_json: whether to print only the report, as JSON.
    """
    write_status(report, as_json=as_json)
    if as_json:
        return
    where = f" -d {report.directory}" if Path(report.directory) != Path.cwd() else ""
    lines = ["try:"]
    if report.listen:
        lines.append(f'  python -m core.client submit --server {report.listen} --kind wordcount "uno dos tres" --wait')
    lines.append(f"  python -m core.monitor{where}")
    lines.append(f"  python -m {MODULE} status{where}")
    lines.append(last_line or f"  python -m {MODULE} down{where}")
    sys.stdout.write("\n".join(map(logs.printable, lines)) + "\n")
    sys.stdout.flush()


def write_stopped(result: StopResult, *, as_json: bool) -> None:
    """Print what a stop of the whole system ended."""
    if as_json:
        write_json(result)
    elif not result.stopped and not result.killed:
        sys.stdout.write("nothing is running here\n")
    else:
        ended = f"ended: {', '.join(result.stopped) or 'none in good order'}"
        killed = f"; had to be killed: {', '.join(result.killed)}" if result.killed else ""
        sys.stdout.write(f"{ended}{killed}; nothing is left running\n")


def write_findings(findings: Iterable[Finding], *, as_json: bool) -> list[Finding]:
    """Print findings, each as soon as it is made, or all as one JSON array. Returns all of them."""
    if as_json:
        found = list(findings)
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        return found
    console = Console(highlight=False)
    found = []
    for finding in findings:
        found.append(finding)
        _write_finding(console, finding)
    return found


def log_writer(*, as_json: bool) -> Callable[[LogLine], None]:
    """Return a function that prints one line of a log."""
    console = Console(highlight=False)

    def write(line: LogLine) -> None:
        if as_json:
            write_json(log_reading.as_json(line))
        elif console.is_terminal:
            style = "" if line.level is None else LEVEL_STYLES.get(line.level, "")
            console.print(Text(log_reading.as_text(line), style), soft_wrap=True)
        else:
            sys.stdout.write(f"{log_reading.as_text(line)}\n")
            sys.stdout.flush()

    return write


def _write_table(report: SystemStatus) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("process", "state", "pid", "address"):
        table.add_column(heading, no_wrap=True)
    for heading in ("up", "restarts", "cpu", "memory"):
        table.add_column(heading, no_wrap=True, justify="right")
    table.add_column("note", overflow="fold")
    now = time.time()
    for unit in report.processes:
        state = str(unit.state) if unit.kill_in is None else f"{unit.state}, killed in {unit.kill_in:.0f} s"
        table.add_row(
            unit.name,
            Text(state, STATE_STYLES.get(unit.state, "")),
            "" if unit.pid is None else str(unit.pid),
            unit.address,
            "" if unit.started_at is None else coarse_duration(now - unit.started_at),
            str(unit.restarts or ""),
            processor_share(unit.cpu),
            memory(unit.memory),
            Text(logs.printable(unit.note)),
        )
    console = Console()
    if not console.is_terminal:
        console.width = FILE_WIDTH
    console.print(table)
    broker, directory = report.broker, report.directory
    line = f"clients connect to {report.listen or 'no server'}; broker: {broker}; directory: {directory}"
    # Text, not markup: a path may hold brackets.
    console.print(Text("\n".join(map(logs.printable, [line, *report.remarks]))), soft_wrap=True)


def _write_finding(console: Console, finding: Finding) -> None:
    heading = Text(f"{finding.verdict:8}", VERDICT_STYLES[finding.verdict])
    heading.append(f"{finding.check:14}", "bold").append(logs.printable(finding.text), "default not bold")
    console.print(heading, soft_wrap=True)
    if finding.remedy:
        console.print(Text(f"{'':8}{'':14}→ {logs.printable(finding.remedy)}", "cyan"), soft_wrap=True)
