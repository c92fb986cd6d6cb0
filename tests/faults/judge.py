"""Says which invariants hold, from the driver's ledger, the journal's rows and the traces of the runs. Pure."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

import msgspec

from tests.faults.books import MOST_LOG, Books, Row
from tests.faults.ledger import Noted
from tests.faults.values import Finding, Invariant, Outcome

SHOWN = 5
"""Examples that a finding names."""

Expected = Callable[[str], str | None]
"""Tells, by a task's id, the JSON text that has to be its result; None when it need not be done."""


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """What a case may show without anything being wrong."""

    run_twice: float = 1.0
    """The part of the tasks that may run more than once."""
    most_runs: int = 6
    """How often one task may run."""
    failed: Callable[[str], bool] = lambda _: False
    """Whether a task of this id is to fail."""


def judge(noted: Noted, books: Books, runs: Mapping[str, int], expected: Expected, allowance: Allowance) -> Outcome:
    """Hold everything against everything.

    Args:
        noted: what the driver wrote down.
        books: the journal, at rest.
        runs: how often each task ran.
        expected: the results.
        allowance: what is allowed.
    """
    lost = sorted(task_id for task_id in noted.accepted if not _ended(books, task_id))
    again = sorted(task_id for task_id, count in runs.items() if count > 1)
    findings = [
        *_found(Invariant.NO_LOSS, "accepted and not ended", lost),
        *_once(books, expected, allowance),
        *_found(Invariant.NOTHING_INVENTED, "in the books and never sent", books.rows.keys() - noted.sent),
        *_conserved(books),
        *_runs(books, runs, again, len(noted.accepted), allowance),
        *_sound(books),
    ]
    return Outcome(
        tasks=len(noted.accepted),
        lost=len(lost),
        stored_twice=books.count - len(books.rows),
        run_twice=len(again),
        broken=tuple(findings),
    )


def count_runs(trace: Path) -> Counter[str]:
    """How often each task ran, of the file of traces."""
    return Counter(trace.read_text("utf-8").split()) if trace.exists() else Counter()


def _ended(books: Books, task_id: str) -> bool:
    row = books.rows.get(task_id)
    return row is not None and row.ended


def _found(invariant: Invariant, what: str, ids: Collection[str]) -> list[Finding]:
    if not ids:
        return []
    return [Finding(invariant, f"{len(ids):,} tasks {what}, such as {', '.join(sorted(ids)[:SHOWN])}")]


def _once(books: Books, expected: Expected, allowance: Allowance) -> list[Finding]:
    findings = []
    if books.count != len(books.rows):
        findings.append(Finding(Invariant.ONCE, f"{books.count - len(books.rows):,} rows too many"))
    wrong = [row.id for row in books.rows.values() if row.state == "done" and not _right(row, expected)]
    failed = [row.id for row in books.rows.values() if row.state == "failed" and not allowance.failed(row.id)]
    done = [row.id for row in books.rows.values() if row.state == "done" and allowance.failed(row.id)]
    return [
        *findings,
        *_found(Invariant.ONCE, "hold another's result", wrong),
        *_found(Invariant.ONCE, "failed although nothing was wrong with them", failed),
        *_found(Invariant.ONCE, "are done although they had to fail", done),
    ]


def _right(row: Row, expected: Expected) -> bool:
    wanted = expected(row.id)
    return wanted is None or row.result == wanted


def _conserved(books: Books) -> list[Finding]:
    counted = Counter(row.state for row in books.rows.values())
    told = {state: count for state, count in books.ledger.items() if count}
    if dict(counted) == told:
        return []
    return [Finding(Invariant.CONSERVED, f"the running totals say {told}, the rows {dict(counted)}")]


def _runs(
    books: Books, runs: Mapping[str, int], again: Collection[str], accepted: int, allowance: Allowance
) -> Iterable[Finding]:
    never = [row.id for row in books.rows.values() if row.state == "done" and not runs.get(row.id)]
    often = [task_id for task_id, count in runs.items() if count > allowance.most_runs]
    yield from _found(Invariant.RUNS, "are done and never ran", never)
    yield from _found(Invariant.RUNS, f"ran more than {allowance.most_runs} times", often)
    if accepted and len(again) / accepted > allowance.run_twice:
        yield Finding(Invariant.RUNS, f"{len(again):,} of {accepted:,} tasks ran more than once")


def _sound(books: Books) -> Iterable[Finding]:
    if books.integrity not in {"ok", "not checked"}:
        yield Finding(Invariant.SOUND, books.integrity)
    if books.log_bytes > MOST_LOG:
        yield Finding(Invariant.SOUND, f"the write-ahead log has {books.log_bytes:,} bytes")
