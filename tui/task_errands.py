"""The errands about tasks: submitting one or many, retrying and discarding what has failed, writing results to a file.

Nothing here draws. What takes its time runs in a thread of its own; what can't simply be taken back asks first.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from textual import on

from core.client import NewSubmission
from core.client.load import LoadOrder
from core.errors import ConfigurationError
from core.repository.archive import Act
from tui import formatting, payloads
from tui.acting import Progress, Settled, Submitted, Tally
from tui.answers import Accepted, Answer, Finished, Progressed, Refused
from tui.dialogs.ask import Ask
from tui.dialogs.load import LoadDialog
from tui.errands import Errands
from tui.messages import (
    ExportWanted,
    LoadAsked,
    ManyWanted,
    SettleWanted,
    StopWanted,
    SubmitWanted,
    UndoWanted,
)
from tui.source import Acts, Source
from tui.words import Words

TELL_EVERY = 0.2
"""Seconds between two words about how far something is."""


class TaskErrands(Errands):
    """Has things done about tasks.

    Args:
        source: of everything that is done.
        words: of the console.
        clock: tells the time, in seconds since the epoch.
    """

    def __init__(self, source: Source, words: Words, clock: Callable[[], float]) -> None:
        super().__init__(source, words, clock)
        self._cancelling = threading.Event()
        self._leaving = threading.Event()
        self._busy = ""
        self._last_settled: list[Settled] = []

    @on(SubmitWanted)
    def _submit(self, event: SubmitWanted) -> None:
        event.stop()
        acts = self.acting()
        if acts is None:
            return
        listen = self.view.listen

        def done(submitted: Submitted) -> None:
            self.answer(Accepted(event.task, submitted, self._clock()))

        self.work("submit", lambda: acts.submit(event.task, listen), done, self._refused)

    @on(ManyWanted)
    def _submit_many(self, event: ManyWanted) -> None:
        event.stop()
        if event.text is not None:
            lines = event.text.split("\n")
            self._submit_lines(event, lambda: iter(lines), sum(bool(line.strip()) for line in lines))
            return

        def named(name: str | None) -> None:
            if name:
                path = Path(name).expanduser()
                self._submit_lines(event, lambda: _lines_of(path), None)

        self.app.push_screen(Ask(self.words, self.words("Submit each line of which file?")), named)

    def _submit_lines(self, event: ManyWanted, lines: Callable[[], Iterator[str]], total: int | None) -> None:
        def tasks() -> Iterable[NewSubmission]:
            return payloads.tasks_of_lines(lines(), event.task, as_text=event.as_text)

        listen = self.view.listen
        self._long(
            "submitting",
            total,
            lambda acts, progress: acts.submit_many(tasks(), listen, progress, self._cancelling),
        )

    @on(LoadAsked)
    def _ask_for_load(self, event: LoadAsked) -> None:
        event.stop()
        if self.acting() is None:
            return

        def ordered(order: LoadOrder | None) -> None:
            if order is not None:
                listen = self.view.listen
                self._long(
                    "load", order.tasks, lambda acts, progress: acts.load(order, listen, progress, self._cancelling)
                )

        self.app.push_screen(LoadDialog(self.words, event.task), ordered)

    def _long(self, name: str, total: int | None, work: Callable[[Acts, Progress], Tally]) -> None:
        """Have something done that takes long: one at a time, with a word now and then about how far it is."""
        acts = self.acting()
        if acts is None:
            return
        if self._busy:
            self.tell(self.words("Something is being submitted already; F8 cancels it."), trouble=True)
            return
        self._busy = name
        self._cancelling.clear()
        progress = Teller(total, self.answer, self.deliver)

        def done(tally: Tally) -> None:
            self._busy = ""
            self.answer(Finished(tally, self._cancelling.is_set()))

        def failed(reason: str) -> None:
            self._busy = ""
            self._refused(reason)

        self.work(name, lambda: work(acts, progress), done, failed)

    def _refused(self, reason: str) -> None:
        self.answer(Refused(reason))
        self.tell(reason, trouble=True)

    @on(StopWanted)
    def _stop(self, event: StopWanted) -> None:
        event.stop()
        if self._busy:
            self._cancelling.set()
        else:
            self.tell(self.words("There is nothing to cancel."))

    @on(SettleWanted)
    def _settle(self, event: SettleWanted) -> None:
        event.stop()
        acts = self.acting()
        if acts is None or not len(event.seqs):
            return
        count = len(event.seqs)
        more = self.words("{count} match the filter.", count=formatting.count(event.matching))
        if event.act is Act.RETRY:
            question = self.words.count(count, "Run this task once more?", "Run {count} tasks once more?")
            yes = self.words("Retry")
        else:
            question = self.words.count(count, "Discard this task?", "Discard {count} tasks?")
            yes = self.words("Discard")
        self._ask_first(
            question, yes, lambda: self._settle_now(acts, event), more=f"{more} {self.words('z undoes it.')}"
        )

    def _settle_now(self, acts: Acts, event: SettleWanted) -> None:
        def done(settled: Settled) -> None:
            self._last_settled.append(settled)
            told = ("{count} task runs again", "{count} tasks run again")
            if settled.act is Act.DISCARD:
                told = ("{count} task discarded", "{count} tasks discarded")
            self.note("")
            self.tell(self.words.count(settled.moved, *told))
            self.settled()

        progress = self._noting(len(event.seqs))
        self.work("settle", lambda: acts.settle(event.act, event.seqs, progress, self._leaving), done)

    @on(UndoWanted)
    def _undo(self, event: UndoWanted) -> None:
        event.stop()
        acts = self.acting()
        if acts is None:
            return
        undone = {operation.number for operation in self.view.operations if operation.undone_at is not None}
        known = [settled.operation for settled in self._last_settled] or [each.number for each in self.view.operations]
        open_ones = sorted(number for number in known if number not in undone)
        if not open_ones:
            self.tell(self.words("There is nothing to undo."))
            return
        running = self.view.running_ids

        def done(count: int) -> None:
            self._last_settled = [each for each in self._last_settled if each.operation != open_ones[-1]]
            self.tell(self.words.count(count, "{count} task is failed again", "{count} tasks are failed again"))
            self.settled()

        self.work("undo", lambda: acts.undo(open_ones[-1], running), done)

    @on(ExportWanted)
    def _export(self, event: ExportWanted) -> None:
        event.stop()
        acts = self.acting()
        if acts is None:
            return
        question = self.words(
            "Write {count} tasks to which new file? (.jsonl or .csv)", count=formatting.count(event.count)
        )

        def begin(name: str | None) -> None:
            if not name:
                return
            path = Path(name).expanduser()
            progress = self._noting(event.count)

            def done(count: int) -> None:
                self.note("")
                self.tell(self.words("{count} tasks written to {path}", count=formatting.count(count), path=str(path)))

            self.work("export", lambda: acts.export(event.search, event.order, path, progress, self._leaving), done)

        self.app.push_screen(Ask(self.words, question, "results.jsonl"), begin)

    def _noting(self, total: int) -> "Teller":
        """Tells in the header how far something is."""

        def note(progressed: Answer) -> None:
            if isinstance(progressed, Progressed):
                count, of = formatting.count(progressed.count), formatting.count(total)
                self.note(self.words("{count} of {total} …", count=count, total=of))

        return Teller(total, note, self.deliver)


class Teller:
    """Tells how far something is, now and then. It is called in the thread that does it.

    Args:
        total: how many there are; None when that isn't known.
        answer: takes it, in the screen's thread.
        deliver: has something done in the screen's thread.
    """

    def __init__(
        self, total: int | None, answer: Callable[[Answer], None], deliver: Callable[[Callable[[], None]], None]
    ) -> None:
        self._total = total
        self._answer = answer
        self._deliver = deliver
        self._began = self._told = time.monotonic()

    def __call__(self, count: int) -> None:
        """So many are done."""
        now = time.monotonic()
        if now - self._told < TELL_EVERY:
            return
        self._told = now
        progressed = Progressed(count, self._total, now - self._began)
        self._deliver(lambda: self._answer(progressed))


def _lines_of(path: Path) -> Iterator[str]:
    """The lines of a file.

    Raises:
        ConfigurationError: it can't be read, or is no text.
    """
    try:
        with path.open(encoding="utf-8") as file:
            while line := file.readline(payloads.LONGEST_LINE):
                yield line
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8: {error.reason}") from error
