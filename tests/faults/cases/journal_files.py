"""Tasks that open and close the journal's files: no lock of ours may be lost by it, and no task."""

import contextlib
from collections.abc import Callable

import apsw

from core.client import NewSubmission
from core.errors import ClientError
from tests.faults import journal_users, rigged, sending
from tests.faults.case import ONLY_LONG, Case
from tests.faults.cases.controls import reversed_verdict
from tests.faults.context import CaseContext
from tests.faults.values import Finding, Invariant, Outcome
from tests.integration import programs
from tests.integration.programs import Program

BROKEN_WORKER = "tests.faults.broken.housing_worker"

EVERY = 5
"""Of so many tasks one uses the files."""

CHUNK = 1000
"""Tasks sent at once."""

LOSSES = (Invariant.NO_LOSS, Invariant.SOUND)
"""What must be found broken when a process loses its locks: outcomes are overwritten, or the journal is damaged."""


def using(context: CaseContext, kind: str, worker: str = "core.worker", drain: float = 60.0) -> Outcome:
    """Let tasks use the journal's files beside others that do not.

    Args:
        context: the context of the case.
        kind: of the tasks that use them.
        worker: the program that runs the tasks.
        drain: seconds within which all tasks must end after the last was sent, on a machine that does nothing else.
    """
    count = context.size(2_000, 120_000)
    tasks = [_task(context, number, "honest" if number % EVERY else kind) for number in range(count + count // EVERY)]
    try:
        _run(context, worker, tasks, drain)
        return context.judge(faults=sum(task.kind == kind for task in tasks))
    except (apsw.Error, ClientError) as error:
        return Outcome(broken=(Finding(Invariant.SOUND, f"the journal can't be used any more: {error}"),))


def _task(context: CaseContext, number: int, kind: str) -> NewSubmission:
    payload = {"number": number, "trace": str(context.trace), "journal": str(context.journal)}
    return NewSubmission(kind, payload, f"t-{number}")


def _run(context: CaseContext, worker: str, tasks: list[NewSubmission], drain: float) -> None:
    """Run the tasks with two workers."""
    modules = ("--tasks", context.tasks_module, "--tasks", journal_users.__file__)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(programs.server(context.system)).ready()
        for name in ("w1", "w2"):
            stack.enter_context(Program(worker, context.system, name, *modules)).ready()
        for first in range(0, len(tasks), CHUNK):
            sending.send([server.address], context.submissions, tasks[first : first + CHUNK])
        context.drain(drain)


def _holding(kind: str) -> Callable[[CaseContext], Outcome]:
    return lambda context: using(context, kind, drain=context.patience(60))


def _condemned(kind: str) -> Callable[[CaseContext], Outcome]:
    """Make a control of the case, with a worker that does in its own process what the tasks do."""

    def run(context: CaseContext) -> Outcome:
        small = rigged.RiggedContext(context, 0.0)
        outcome = rigged.attempted(lambda context: using(context, kind, BROKEN_WORKER, drain=5.0), small)
        found = [finding.invariant for finding in outcome.broken if finding.invariant in LOSSES]
        return reversed_verdict(outcome, found[0] if found else Invariant.NO_LOSS)

    return run


TARGET = "120,000 tasks beside them: none lost, none stored twice, the journal sound"
CONDEMNED = "with a worker that has the journal open in the same process, the judge finds it"

CASES = (
    Case(name="tasks that open the journal with sqlite3", target=TARGET, run=_holding("counts")),
    Case(name="tasks that hash the journal's files", target=TARGET, run=_holding("hashes")),
    Case(
        name="control: opens the journal beside the worker's connection",
        target=CONDEMNED,
        run=_condemned("counts"),
        profiles=ONLY_LONG,
    ),
    Case(
        name="control: hashes the files beside the worker's connection",
        target=CONDEMNED,
        run=_condemned("hashes"),
        profiles=ONLY_LONG,
    ),
)
