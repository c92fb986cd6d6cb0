"""Hostile text in every field that a client controls, shown by every program with output."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from core.addresses import Address
from core.client import NewSubmission
from tests.faults import journal_reader, poisons, sending, terminal_text
from tests.faults.case import ONLY_LONG, Case
from tests.faults.context import CaseContext
from tests.faults.judge import Allowance
from tests.faults.values import Finding, Invariant, Outcome
from tests.integration.programs import Ended, run
from tests.integration.supervised import Supervised
from tests.tui.terminal import TIMEOUT, Terminal

MAX_KIND_LENGTH = 60
TABS = (("3", "Processes"), ("4", "Failed"), ("5", "The path of a task"), ("1", "New task"))


def shown(context: CaseContext) -> Outcome:
    """Submit every text as a payload, an error, a result, output and a kind, and show it with every program."""
    texts = terminal_text.CORPUS
    modules = ("--tasks", context.tasks_module, "--tasks", str(Path(poisons.__file__)))
    with Supervised(context.system) as system:
        report = system.up(1, 1, *modules)
        accepted = sending.send([Address.parse(report.listen)], context.submissions, _tasks(context, texts))
        context.drain()
        ids = [row.id for row in journal_reader.read(context.journal, thorough=False).rows.values()]
        broken = [
            Finding(Invariant.HARMLESS, f"{name} shows {', '.join(sorted(found)[:9])}")
            for name, ended in _plain(system, report.listen, ids)
            if (found := terminal_text.unprintable(ended.output + ended.errors))
        ]
        broken += _console(system, len(ids))
        system.down()
        system.assert_nothing_left(report)
    outcome = context.judge(None, Allowance(failed=lambda task_id: not task_id.startswith("r-")), faults=len(texts))
    # The results are the texts, and not those of honest tasks.
    kept = [finding for finding in outcome.broken if finding.invariant is not Invariant.ONCE]
    remark = f"{accepted} tasks with {len(texts)} texts"
    return msgspec.structs.replace(outcome, broken=(*kept, *broken), remarks=(*outcome.remarks, remark))


def _tasks(context: CaseContext, texts: Sequence[str]) -> Iterator[NewSubmission]:
    trace = str(context.trace)
    for number, text in enumerate(texts):
        payload = {"trace": trace, "text": text}
        yield NewSubmission("says", payload, f"s-{number}")
        yield NewSubmission("repeats", payload, f"r-{number}")
        if len(text) <= MAX_KIND_LENGTH:
            yield NewSubmission(text, payload, f"k-{number}")


def _plain(system: Supervised, listen: str, ids: Sequence[str]) -> Iterator[tuple[str, Ended]]:
    """Yield the output of each program."""
    directory = str(system.home.directory)
    for task_id in ids:
        # `result` writes the raw result to a pipe; `status` shows it to people.
        yield f"client status {task_id}", run("core.client", "--server", listen, "status", task_id)
    for flags in ((), ("--json",)):
        yield "monitor", run("core.monitor", "--dir", directory, "--once", *flags)
    for words in (("status",), ("logs",), ("logs", "--json"), ("logs", "w1", "--lines", "100000"), ("doctor",)):
        ended = system.run(*words)
        yield f"supervisor {' '.join(words)}", Ended(ended.code, ended.output, ended.errors)


def _console(system: Supervised, tasks: int) -> Iterator[Finding]:
    """Open every task and every tab of the console, as a user would."""
    with Terminal((), system.home.directory, size=(100, 30)) as terminal:
        title = terminal.value("pane_title")
        terminal.wait_for(rf"─ {tasks:,} tasks ─")
        for _ in range(tasks):
            terminal.keys("Enter")
            terminal.wait_for("Escape Close")
            terminal.keys("End")
            terminal.leave("Escape Close")
            terminal.keys("Down")
        for key, heading in TABS:
            terminal.keys(key)
            terminal.wait_for(f"─ {heading} ─")
        terminal.leave("To the list")
        terminal.keys("q")
        terminal.wait_for("Leave it running", TIMEOUT)
        if terminal.value("pane_title") != title:
            yield Finding(Invariant.HARMLESS, f"the terminal's title is {terminal.value('pane_title')!r} now")
        if found := terminal_text.terminal_commands(terminal.raw.read_bytes()):
            yield Finding(Invariant.HARMLESS, f"the console sends {', '.join(sorted(found))}")
        terminal.keys("Right")
        terminal.keys("Enter")
        if code := terminal.wait_for_end():
            yield Finding(Invariant.HARMLESS, f"the console ended with {code}")


CASES = (
    Case(
        name="hostile text on terminals",
        target="60 texts in every field, shown by every program: no terminal executes one",
        run=shown,
        profiles=ONLY_LONG,
        programs=("tmux",),
    ),
)
