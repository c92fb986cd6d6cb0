"""The report of a benchmark: as a value, as JSON, and as Markdown. Pure."""

from collections.abc import Sequence

import msgspec

from tests.benchmarks.case import Group, Measured, Order, Stage
from tests.benchmarks.machine import Machine, describe
from tests.benchmarks.summary import Row
from tests.benchmarks.targets import Attained

_RATES = "The median of the rounds (lowest to highest), and its ratio to the ceiling:"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The report of one benchmark."""

    date: str
    command: str
    seconds: float
    """Duration of the benchmark."""
    machine: Machine
    order: Order
    cases: dict[str, str]
    """The description of each case."""
    left_out: list[str]
    """Cases that could not be measured here, with the reasons."""
    baseline: str
    rows: list[Row]
    targets: list[Attained]
    rounds: list[dict[str, dict[Stage, Measured]]]


def write_json(report: Report) -> bytes:
    """Return the report as JSON."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def read_json(text: bytes) -> Report:
    """Return the report from its JSON."""
    return msgspec.json.decode(text, type=Report)


def write_markdown(report: Report) -> str:
    """Return the report as Markdown."""
    parts = [
        f"# Benchmark of {report.date}",
        describe(report.machine),
        _procedure(report),
        "\n".join(f"- {name}: {description}." for name, description in report.cases.items()),
        "\n".join(f"- Left out: {reason}." for reason in report.left_out),
        f"## Tasks a second\n\n{_RATES} that of {report.baseline} where no other is named.",
        _rates(report),
        _meaning(report),
        *_peer_table(report.rows),
        *_targets(report.targets),
        "## Processor time\n\nMicroseconds for a task (or milliseconds for 1,000), medians.",
        _times(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _procedure(report: Report) -> str:
    return (
        f"`{report.command}` took {report.seconds:.0f} seconds: {len(report.rounds)} rounds, in each of them every case"
        f" with {report.order.tasks:,} tasks\nof kind `echo` in each stage, or as many as its line has;"
        f" those of Cauce are sent over {report.order.connections} connections"
        f" with up to {report.order.window} open on each."
    )


def _rates(report: Report) -> str:
    cells = {(row.case, row.stage): _rate(row, report.baseline) for row in report.rows}
    stages = [stage for stage in Stage if any(row.stage is stage for row in report.rows)]
    lines = [[case, *(cells.get((case, stage), "") for stage in stages)] for case in report.cases]
    return table(["", *stages], lines)


def _rate(row: Row, baseline: str) -> str:
    ratio = "" if row.ratio is None or row.case == row.ceiling else f" {row.ratio:.2f} ×"
    other = f" {row.ceiling}" if ratio and row.ceiling != baseline else ""
    return f"{row.rate:,.0f} ({row.lowest:,.0f} to {row.highest:,.0f}){ratio}{other}"


def _meaning(report: Report) -> str:
    if not any(row.stage is Stage.MEANWHILE for row in report.rows):
        return ""
    return (
        f"*{Stage.MEANWHILE}*: of the tasks of *{Stage.WHOLE}*, from the first sent to the last accepted, while workers"
        f" take them; it is compared\nwith *{Stage.ACCEPT}* of the others, which have nothing else to do meanwhile."
    )


def _peer_table(rows: Sequence[Row]) -> list[str]:
    """Return the heading and the table. Returns nothing when no peer was measured."""
    cells = {(row.case, row.stage): f"{row.over_peers:.2f} × {row.fastest_peer}" for row in rows if row.over_peers}
    if not cells:
        return []
    stages = [stage for stage in Stage if any(place[1] is stage for place in cells)]
    cases = dict.fromkeys(case for case, _stage in cells)
    lines = [[case, *(cells.get((case, stage), "") for stage in stages)] for case in cases]
    return ["## Compared with the fastest peer\n\nThe median of each round's ratio.", table(["", *stages], lines)]


def _targets(targets: Sequence[Attained]) -> list[str]:
    """Return the heading and the table. Returns nothing when no target has both sides measured."""
    lines = [_target(target) for target in targets if target.ratio is not None]
    if not lines:
        return []
    return ["## Targets", table(["", "ours", "against", "wanted", "measured", ""], lines)]


def _target(target: Attained) -> list[str]:
    against = "" if target.against is None else ": ".join(target.against)
    ratio = target.ratio or 0.0
    attained = "attained" if ratio >= target.wanted else "missed"
    return [target.what, ": ".join(target.place), against, f"{target.wanted:g} ×", f"{ratio:.2f} ×", attained]


def _times(report: Report) -> str:
    groups = [group for group in Group if any(group in row.cpu for row in report.rows)]
    lines = []
    rows = [row for row in report.rows if row.cpu]
    for row in sorted(rows, key=lambda row: list(Stage).index(row.stage)):
        each = [f"{row.cpu[group]:.0f}" if group in row.cpu else "" for group in groups]
        own_time = sum(spent for group, spent in row.cpu.items() if group is not Group.ELSEWHERE)
        lines.append([row.stage, row.case, *each, f"{own_time:.0f}"])
    return table(["", "", *groups, "all but elsewhere"], lines)


def table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return an aligned Markdown table; all columns but the first are numbers."""
    widths = [max(len(line[column]) for line in (heads, *lines)) for column in range(len(heads))]

    def row(cells: Sequence[str]) -> str:
        first, *rest = zip(cells, widths, strict=True)
        return "| " + " | ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]) + " |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([row(heads), row(rule), *map(row, lines)])
