"""The errands that take long: one of a kind at a time. They tell how far they are, and can be cancelled."""

import time
from collections.abc import Callable
from threading import Event
from typing import TypeVar

from core import formatting
from tui.errands import Errands
from tui.source import Source, SystemControl
from tui.submission_events import SubmissionEvent, SubmissionProgress
from tui.translations import Translations
from tui.under_way import UnderWay

TELL_EVERY = 0.2
"""Seconds between two words about how far something is."""

TIDIED_WITHIN = 2.0
"""Seconds in which what is cancelled by leaving the console takes away what it has begun."""

T = TypeVar("T")


class LongErrands(Errands):
    """Has things done that take long.

    Args:
        source: of everything that is done.
        tr: translates the texts of the console.
        clock: tells the time, in seconds since the epoch.
    """

    def __init__(self, source: Source, tr: Translations, clock: Callable[[], float]) -> None:
        super().__init__(source, tr, clock)
        self._under_way = UnderWay()
        self._waits: dict[str, Callable[[float], None]] = {}

    def take_long(
        self,
        name: str,
        work: Callable[[SystemControl, Event], T],
        done: Callable[[T, bool], None],
        failed: Callable[[str], None] | None = None,
    ) -> None:
        """Have something done that takes long.

        Args:
            name: of the kind of thing: there is one of a kind at a time.
            work: what is to be done, until the event is set.
            done: takes what came of it, and whether a person wanted it to end early.
            failed: takes the reason when it can't be done; the person is told when left out.
        """
        control = self.acting()
        if control is None:
            return
        cancelled = self._under_way.begin(name)
        if cancelled is None:
            self.tell(self.tr("This is under way already; F8 cancels it."), trouble=True)
            return

        def finished(found: T) -> None:
            self._end(name)
            done(found, cancelled.is_set())

        def refused(reason: str) -> None:
            self._end(name)
            if failed is None:
                self.tell(reason, trouble=True)
            else:
                failed(reason)

        self._waits[name] = self.work(name, lambda: work(control, cancelled), finished, refused).wait

    def _end(self, name: str) -> None:
        self._under_way.end(name)
        self._waits.pop(name, None)
        self.note(self._under_way.told)

    def noting(self, name: str, total: int) -> "Teller":
        """Tells in the header how far something is."""

        def note(progressed: SubmissionEvent) -> None:
            if isinstance(progressed, SubmissionProgress):
                count, of = formatting.count(progressed.count), formatting.count(total)
                self._under_way.note(name, self.tr("{count} of {total} · F8 cancels", count=count, total=of))
                self.note(self._under_way.told)

        return Teller(total, note, self.deliver)

    def action_cancel(self) -> None:
        """Cancel what was begun last; what was done until then stays done."""
        if self._under_way.cancel():
            self.tell(self.tr("Cancelling …"))
        else:
            self.tell(self.tr("There is nothing to cancel."))

    def cancel_everything(self) -> None:
        """Cancel whatever is under way, and let it tidy up: the console is being left."""
        self._under_way.cancel_everything()
        deadline = time.monotonic() + TIDIED_WITHIN
        for wait in self._waits.values():
            wait(max(0.0, deadline - time.monotonic()))


class Teller:
    """Tells how far something is, now and then. It is called in the thread that does it.

    Args:
        total: how many there are; None when that isn't known.
        answer: takes it, in the screen's thread.
        deliver: has something done in the screen's thread.
        share: how much of it is done, between 0 and 1, where that is known though the total isn't.
    """

    def __init__(
        self,
        total: int | None,
        answer: Callable[[SubmissionEvent], None],
        deliver: Callable[[Callable[[], None]], None],
        share: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._total = total
        self._answer = answer
        self._deliver = deliver
        self._share = share
        self._began = self._told = time.monotonic()

    def __call__(self, count: int) -> None:
        """So many are done."""
        now = time.monotonic()
        if now - self._told < TELL_EVERY:
            return
        self._told = now
        progressed = SubmissionProgress(count, self._total, now - self._began, self._share())
        self._deliver(lambda: self._answer(progressed))
