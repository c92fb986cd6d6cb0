"""Decides which invariants hold, from the client's record, the journal and the record of runs. Pure."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

import msgspec

from tests.faults.journal_reader import MAX_LOG_BYTES, JournalContents, Row
from tests.faults.submission_log import Submissions
from tests.faults.values import Finding, Invariant, Outcome

MAX_EXAMPLES = 5
"""Ids that a finding names."""

Expected = Callable[[str], str | None]
"""Returns the JSON text of a task's result by its id, or None when the result is not checked."""


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """What a case may show without a finding."""

    run_twice: float = 1.0
    """Fraction of the tasks that may run more than once."""
    max_runs: int = 6
    """Most runs of one task."""
    failed: Callable[[str], bool] = lambda _: False
    """Whether the task of an id should fail."""


def judge(
    submissions: Submissions,
    journal: JournalContents,
    runs: Mapping[str, int],
    expected: Expected,
    allowance: Allowance,
) -> Outcome:
    """Check every invariant.

    Args:
        submissions: the record of the client.
        journal: the journal of a system at rest.
        runs: the number of runs of each task.
        expected: the expected results.
        allowance: what is allowed.
    """
    lost = sorted(task_id for task_id in submissions.accepted if not _ended(journal, task_id))
    again = sorted(task_id for task_id, count in runs.items() if count > 1)
    findings = [
        *_tasks_finding(Invariant.NO_LOSS, "accepted and not ended", lost),
        *_once(journal, expected, allowance),
        *_tasks_finding(
            Invariant.NOTHING_INVENTED, "in the journal and never sent", journal.rows.keys() - submissions.sent
        ),
        *_conserved(journal),
        *_runs(journal, runs, again, len(submissions.accepted), allowance),
        *_sound(journal),
    ]
    return Outcome(
        tasks=len(submissions.accepted),
        lost=len(lost),
        stored_twice=journal.count - len(journal.rows),
        run_twice=len(again),
        broken=tuple(findings),
    )


def count_runs(trace: Path) -> Counter[str]:
    """Return the number of runs of each task, from the record of runs."""
    return Counter(trace.read_text("utf-8").split()) if trace.exists() else Counter()


def _ended(journal: JournalContents, task_id: str) -> bool:
    row = journal.rows.get(task_id)
    return row is not None and row.ended


def _tasks_finding(invariant: Invariant, text: str, ids: Collection[str]) -> list[Finding]:
    if not ids:
        return []
    return [Finding(invariant, f"{len(ids):,} tasks {text}, such as {', '.join(sorted(ids)[:MAX_EXAMPLES])}")]


def _once(journal: JournalContents, expected: Expected, allowance: Allowance) -> list[Finding]:
    findings = []
    if journal.count != len(journal.rows):
        findings.append(Finding(Invariant.ONCE, f"{journal.count - len(journal.rows):,} rows too many"))
    wrong = [row.id for row in journal.rows.values() if row.state == "done" and not _is_right(row, expected)]
    failed = [row.id for row in journal.rows.values() if row.state == "failed" and not allowance.failed(row.id)]
    done = [row.id for row in journal.rows.values() if row.state == "done" and allowance.failed(row.id)]
    return [
        *findings,
        *_tasks_finding(Invariant.ONCE, "have a wrong result", wrong),
        *_tasks_finding(Invariant.ONCE, "failed although they should not", failed),
        *_tasks_finding(Invariant.ONCE, "are done although they should fail", done),
    ]


def _is_right(row: Row, expected: Expected) -> bool:
    result = expected(row.id)
    return result is None or row.result == result


def _conserved(journal: JournalContents) -> list[Finding]:
    counted = Counter(row.state for row in journal.rows.values())
    kept = {state: count for state, count in journal.ledger.items() if count}
    if dict(counted) == kept:
        return []
    return [Finding(Invariant.CONSERVED, f"the ledger has {kept}, the rows {dict(counted)}")]


def _runs(
    journal: JournalContents, runs: Mapping[str, int], again: Collection[str], accepted: int, allowance: Allowance
) -> Iterable[Finding]:
    never = [row.id for row in journal.rows.values() if row.state == "done" and not runs.get(row.id)]
    often = [task_id for task_id, count in runs.items() if count > allowance.max_runs]
    yield from _tasks_finding(Invariant.RUNS, "are done and never ran", never)
    yield from _tasks_finding(Invariant.RUNS, f"ran more than {allowance.max_runs} times", often)
    if accepted and len(again) / accepted > allowance.run_twice:
        yield Finding(Invariant.RUNS, f"{len(again):,} of {accepted:,} tasks ran more than once")


def _sound(journal: JournalContents) -> Iterable[Finding]:
    if journal.integrity not in {"ok", "not checked"}:
        yield Finding(Invariant.SOUND, journal.integrity)
    if journal.log_bytes > MAX_LOG_BYTES:
        yield Finding(Invariant.SOUND, f"the write-ahead log has {journal.log_bytes:,} bytes")
