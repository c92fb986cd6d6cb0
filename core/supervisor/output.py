"""What the commands of the supervisor print: the table of processes, JSON, findings, log lines and progress.

It decides nothing and reads no system: it is given values. The shorter texts are in `display`. What has colours or
columns is drawn by `drawing`, imported where it is used: Rich takes long to import, and other output needs none.
"""

import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from core import logs
from core.supervisor.arguments import MODULE
from core.supervisor.display import not_ready, waiting_for
from core.supervisor.doctor import Finding
from core.supervisor.logs import log_reading
from core.supervisor.logs.log_reading import LogLine
from core.supervisor.status import Phase, StopResult, SystemStatus

if TYPE_CHECKING:
    from core.supervisor.drawing import ChangingLine

PROGRESS_INTERVAL = 5.0
"""Seconds between two lines of progress where there is no terminal."""


class Progress:
    """Shows on standard error which processes a command waits for.

    On a terminal this is one line that changes; elsewhere it is a line now and then.
    """

    def __init__(self) -> None:
        self._live: ChangingLine | None = None
        if sys.stderr.isatty():
            from core.supervisor import drawing  # only a terminal needs Rich

            self._live = drawing.ChangingLine()
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
        line = logs.printable(text)
        if self._live is not None:
            self._live.update(line)
        elif time.monotonic() - self._printed_at >= PROGRESS_INTERVAL:
            self._printed_at = time.monotonic()
            sys.stderr.write(f"{line}\n")


def write_json(value: msgspec.Struct) -> None:
    """Print a value as one line of JSON."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def write_status(report: SystemStatus, *, as_json: bool) -> None:
    """Print the status of the system."""
    if as_json:
        write_json(report)
    else:
        from core.supervisor import drawing  # JSON needs no Rich

        drawing.draw_status(report)


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
    from core.supervisor import drawing  # JSON needs no Rich

    draw = drawing.finding_drawer()
    found = []
    for finding in findings:
        found.append(finding)
        draw(finding)
    return found


def log_writer(*, as_json: bool) -> Callable[[LogLine], None]:
    """Return a function that prints one line of a log."""
    if as_json:
        return lambda line: write_json(log_reading.as_json(line))
    if sys.stdout.isatty():
        from core.supervisor import drawing  # only a terminal needs Rich

        return drawing.log_line_drawer()
    return _write_log_line


def _write_log_line(line: LogLine) -> None:
    sys.stdout.write(f"{log_reading.as_text(line)}\n")
    sys.stdout.flush()
