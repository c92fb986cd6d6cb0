"""Compares the views of the console with what a bystander has seen before and after each. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from tests.faults.bystander import Sight
from tests.faults.values import Finding, Invariant
from tui.translations import Translations
from tui.view import View, WorkerRow
from tui.widgets import diagram

INTERVAL = 0.5
"""Seconds between two views, as in the console."""

MAX_VIEWS = 4
"""Views in a row that may show what is no more: two seconds of them."""

ALIVE = frozenset({"online", "busy", "starting", "draining", "troubled"})
"""The words by which a process is shown as alive."""


class Comparison:
    """Compares one view after the other.

    Attributes:
        findings: what was shown wrongly.
        views: the number of views.
    """

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.views = 0
        self._wrong: Counter[str] = Counter()
        self._done = 0

    def compare(self, before: Sight, view: View, after: Sight) -> None:
        """Compare a view with what was seen before and after it was built."""
        self.views += 1
        wrong = set(_false_rows(view, before, after)) | set(_false_alarms(view, before, after))
        self._wrong = Counter({text: self._wrong[text] + 1 for text in wrong})
        self._report(*(text for text, count in self._wrong.items() if count == MAX_VIEWS + 1))
        self._report(*_twice(view))
        if view.ledger.total:
            if view.ledger.done < self._done:
                self._report(f"the tasks that are done fell from {self._done} to {view.ledger.done}")
            self._done = view.ledger.done

    def compare_first(self, before: Sight, view: View) -> None:
        """Compare the first view of a console that was opened after the look `before`."""
        for row in _rows(view):
            if row.process.number in before.dead and row.process.presence.value in ALIVE:
                self._report(f"{_name(row)} was dead, and a console that was opened then shows it as alive")

    def compare_after_down(self, view: View) -> None:
        """Check the first view of a console that was opened after the system was taken down."""
        for row in _rows(view):
            self._report(f"{_name(row)} is {row.process.presence} after the system was taken down")

    def compare_list(self, listed: Sequence[int], ended: Mapping[int, str], view: View) -> None:
        """Compare, at rest, the list of the results and the ledger with the tasks that have ended."""
        shown = {"done": view.ledger.done, "failed": view.ledger.failed, "cancelled": view.ledger.cancelled}
        states = Counter(ended.values())
        if any(states[state] != count for state, count in shown.items()):
            self._report(f"the ledger shows {shown}, and the journal has {dict(states)}")
        if sorted(listed) != sorted(ended):
            self._report(f"the list has {len(listed)} tasks, and the journal {len(ended)} that have ended")

    def _report(self, *texts: str) -> None:
        found = [Finding(Invariant.SHOWN, text) for text in texts]
        self.findings += [finding for finding in dict.fromkeys(found) if finding not in self.findings]


def _rows(view: View) -> tuple[WorkerRow, ...]:
    return (*view.servers, *view.workers)


def _name(row: WorkerRow) -> str:
    return f"{row.process.name} (pid {row.process.pid})"


def _false_rows(view: View, before: Sight, after: Sight) -> Iterator[str]:
    """Yield what the rows say wrongly of processes that are dead, or work."""
    working = before.beating & after.running
    for row in _rows(view):
        presence = row.process.presence.value
        if presence in ALIVE:
            if row.process.number in before.dead:
                yield f"{_name(row)} is dead, and shown as {presence}"
        elif row.process.number in working:
            yield f"{_name(row)} works, and is shown as {presence}"
    for number in sorted(working - {row.process.number for row in _rows(view)}):
        yield f"process {number} works, and is not shown"


def _false_alarms(view: View, before: Sight, after: Sight) -> Iterator[str]:
    """Yield the parts that are drawn red in the diagram and work."""
    red = [text for line in diagram.draw(view, Translations()) for text, style in line if style == "bad"]
    if before.readable and after.readable and any("journal " in text for text in red):
        yield "the journal can be read, and is drawn red"


def _twice(view: View) -> Iterator[str]:
    names = Counter((row.process.role.value, row.process.host, row.process.name) for row in _rows(view))
    pids = Counter((row.process.host, row.process.pid) for row in _rows(view))
    for what, count in (*names.items(), *pids.items()):
        if count > 1:
            yield f"{what} has {count} rows"
