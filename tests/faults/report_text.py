"""The report of a campaign as text. Pure."""

from tests.faults.values import CaseResult, Report


def describe(line: CaseResult) -> str:
    """Return a result as a few lines."""
    outcome = line.outcome
    verdict = "held" if line.passed else "BROKEN"
    numbers = (
        f"{outcome.tasks:,} tasks, {outcome.faults:,} faults, {outcome.lost:,} lost, "
        f"{outcome.stored_twice:,} stored twice, {outcome.run_twice:,} run twice"
    )
    lines = [f"{verdict}: {line.case}: {numbers}; {line.seconds:.0f} s"]
    lines += [f"    {finding}" for finding in outcome.broken]
    lines += [f"    {remark}" for remark in outcome.remarks]
    return "\n".join(lines)


def markdown(report: Report) -> str:
    """Return the whole report as Markdown."""
    heads = ("case", "tasks", "faults", "lost", "stored twice", "run twice", "seconds", "verdict")
    rows = [_cells(line) for line in report.lines]
    table = [
        "| " + " | ".join(heads) + " |",
        "| --- |" + " ---: |" * (len(heads) - 2) + " --- |",
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
    remarks = [f"- {line.case}: {remark}." for line in report.lines for remark in line.outcome.remarks]
    broken = [f"- **{line.case}**: {finding}" for line in report.lines for finding in line.outcome.broken]
    title = f"# Faults, {report.profile} profile, {report.date}"
    parts = [title, f"`{report.command}`, seed {report.seed}; {report.machine}.", "\n".join(table)]
    parts += ["## What did not hold\n\n" + "\n".join(broken)] if broken else []
    parts += ["## Measurements\n\n" + "\n".join(remarks)] if remarks else []
    return "\n\n".join(parts) + "\n"


def _cells(line: CaseResult) -> tuple[str, ...]:
    outcome = line.outcome
    numbers = (outcome.tasks, outcome.faults, outcome.lost, outcome.stored_twice, outcome.run_twice)
    return (
        f"{line.case}: {line.target}",
        *(f"{number:,}" for number in numbers),
        f"{line.seconds:.0f}",
        "held" if line.passed else "**broken**",
    )
