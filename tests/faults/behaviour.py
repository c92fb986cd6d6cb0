"""What becomes of a task that does its worst to its process, and of the tasks beside it: the table of the README.

python -m tests.faults.behaviour
"""

import contextlib
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from core.client import Client, NewSubmission, TaskOutcome, TaskStatus
from core.repository.journal import Journal
from tests.faults import worst
from tests.integration import programs
from tests.integration.programs import Program

NEIGHBOURS = 200
"""Tasks of 20 ms that are submitted right before and right after."""

PATIENCE = 180.0


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of one task and those beside it."""

    kind: str
    became: str
    seconds: float
    """From its submission to its outcome."""
    attempts: int
    neighbours_done: int
    neighbours_again: int
    """How many of them had more than one attempt."""
    longest: float
    """Seconds from the first submission of a neighbour until the last had ended."""
    heartbeat: float
    """The longest time between two heartbeats of the worker, in seconds."""
    same_worker: bool


class Heartbeats:
    """Watches the heartbeats of a worker, in a thread.

    Args:
        directory: of the system.
        name: of the worker.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._name = name
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.longest = 0.0

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Watch during the block."""
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()

    def _watch(self) -> None:
        with Journal("resultados.db", self._directory).open_readonly() as repository:
            beat, since = -1, time.monotonic()
            while not self._stop.wait(0.02):
                [record] = [record for record in repository.processes() if record.name == self._name]
                now = time.monotonic()
                if record.beat != beat:
                    beat, since = record.beat, now
                self.longest = max(self.longest, now - since)


def look(kind: str, directory: Path) -> Seen:
    """Run one such task among neighbours, in a system of its own."""
    module = Path(worst.__file__)
    slow_import = kind == worst.SLOW_IMPORT
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(programs.server(directory)).ready()
        started_at = time.monotonic()
        arguments = ("-c", "8", "--tasks", str(module.with_name("slow_to_import.py") if slow_import else module))
        worker = stack.enter_context(Program("core.worker", directory, "w1", *arguments)).ready()
        ready_after = time.monotonic() - started_at
        client = stack.enter_context(Client(server.address))
        heartbeats = Heartbeats(directory, "w1")
        stack.enter_context(heartbeats.watched())
        seen = _watch_one(client, "echo" if slow_import else kind)
        became = f"the worker is ready after {ready_after:.0f} s" if slow_import else seen.became
        return msgspec.structs.replace(
            seen,
            kind=kind,
            became=became,
            heartbeat=heartbeats.longest,
            same_worker=worker.process.poll() is None,
        )


def _watch_one(client: Client, kind: str) -> Seen:
    began = time.monotonic()
    before = _submit(client, "before")
    handle = client.submit(kind, 1, retries=0)
    sent_at = time.monotonic()
    ids = [*before, *_submit(client, "after")]
    ended: dict[str, float] = {}
    outcomes: dict[str, TaskOutcome] = {}
    for outcome in client.results([*ids, handle.id], timeout=PATIENCE):
        assert isinstance(outcome, TaskOutcome)
        ended[outcome.id], outcomes[outcome.id] = time.monotonic(), outcome
    statuses = [client.status(task_id) for task_id in ids]
    return Seen(
        kind=kind,
        became=_describe(outcomes[handle.id]),
        seconds=ended[handle.id] - sent_at,
        attempts=handle.status().attempts,
        neighbours_done=sum(status.state == "done" for status in statuses),
        neighbours_again=sum(_ran_again(status) for status in statuses),
        longest=max(ended[task_id] for task_id in ids) - began,
        heartbeat=0.0,
        same_worker=True,
    )


def _ran_again(status: TaskStatus) -> bool:
    return status.attempts > 1


def _submit(client: Client, prefix: str) -> list[str]:
    tasks = [NewSubmission("sleep", 0.02, f"{prefix}-{number}") for number in range(NEIGHBOURS // 2)]
    return [answer.id for answer in client.submit_many(tasks)]


def _describe(outcome: TaskOutcome) -> str:
    if outcome.error is not None:
        return f"{outcome.state}: {outcome.error.type}"
    return str(outcome.state)


def table(rows: Sequence[Seen]) -> str:
    """Return the rows as a table in Markdown."""
    columns = (
        "task",
        "what became of it",
        "after",
        "attempts",
        "neighbours done",
        "run again",
        "all done after",
        "longest time between heartbeats",
        "worker",
    )
    lines = [_line(columns), _line(["---", "---", *["---:"] * 6, "---"])]
    lines += [_line(_cells(row)) for row in rows]
    return "\n".join(lines)


def _cells(row: Seen) -> Sequence[str]:
    return (
        worst.DESCRIPTIONS[row.kind],
        row.became,
        f"{row.seconds:.1f} s",
        str(row.attempts),
        str(row.neighbours_done),
        str(row.neighbours_again),
        f"{row.longest:.1f} s",
        f"{row.heartbeat:.2f} s",
        "lived" if row.same_worker else "died",
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main(kinds: Sequence[str]) -> None:
    """Look at these kinds, or at all, and print the table."""
    rows = []
    for kind in kinds or list(worst.DESCRIPTIONS):
        with tempfile.TemporaryDirectory(prefix="cauce-") as directory:
            rows.append(look(kind, Path(directory)))
        sys.stderr.write(f"{rows[-1]}\n")
    sys.stdout.write(table(rows) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
