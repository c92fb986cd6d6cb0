"""Draws with Rich what the commands of the supervisor show in colours or columns.

`output` imports it where something is drawn. Like that module, it is given values.
"""

import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from core import logs
from core.formatting import coarse_duration, memory, processor_share
from core.supervisor.doctor import Finding, Verdict
from core.supervisor.logs import log_reading
from core.supervisor.logs.log_reading import Level, LogLine
from core.supervisor.status import SystemStatus, UnitState

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


class ChangingLine:
    """One line on the terminal of standard error, with a spinner."""

    def __init__(self) -> None:
        self._status = Console(stderr=True, highlight=False).status("")

    def start(self) -> None:
        """Show the line."""
        self._status.start()

    def update(self, text: str) -> None:
        """Change its text."""
        self._status.update(Text(text))

    def stop(self) -> None:
        """Remove the line."""
        self._status.stop()


def draw_status(report: SystemStatus) -> None:
    """Draw the status of the system as a table."""
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


def finding_drawer() -> Callable[[Finding], None]:
    """Return a function that draws one finding."""
    console = Console(highlight=False)

    def draw(finding: Finding) -> None:
        heading = Text(f"{finding.verdict:8}", VERDICT_STYLES[finding.verdict])
        heading.append(f"{finding.check:14}", "bold").append(logs.printable(finding.text), "default not bold")
        console.print(heading, soft_wrap=True)
        if finding.remedy:
            console.print(Text(f"{'':8}{'':14}→ {logs.printable(finding.remedy)}", "cyan"), soft_wrap=True)

    return draw


def log_line_drawer() -> Callable[[LogLine], None]:
    """Return a function that draws one line of a log in the colour of its level."""
    console = Console(highlight=False)

    def draw(line: LogLine) -> None:
        style = "" if line.level is None else LEVEL_STYLES.get(line.level, "")
        console.print(Text(log_reading.as_text(line), style), soft_wrap=True)

    return draw
