"""What every errand of the screen needs: a thread of its own, a word to the person, a question before what is grave."""

from collections.abc import Callable
from typing import TypeVar

from textual import on
from textual.screen import Screen

from tui import commands, display_text
from tui.background import Delivered, Job
from tui.dialogs.confirm import confirm
from tui.messages import CopyRequested, NotificationRequested
from tui.source import Source, SystemControl
from tui.submission_events import SubmissionEvent
from tui.translations import Translations
from tui.view import EMPTY, StartView

T = TypeVar("T")


class Errands(Screen[None]):
    """Has things done.

    Args:
        source: of everything that is done.
        tr: translates the texts of the console.
        clock: tells the time, in seconds since the epoch.
    """

    def __init__(self, source: Source, tr: Translations, clock: Callable[[], float]) -> None:
        super().__init__()
        self.tr = tr
        self._clock = clock
        self.view = EMPTY
        self._source = source

    def poke(self) -> None:
        """Have the system looked at, now that something was done."""

    def settled(self) -> None:
        """Have what has failed looked for anew."""

    def note(self, text: str) -> None:
        """Show how far is what takes long; nothing when nothing does."""

    def show_start(self, start: StartView) -> None:
        """Show how far a start of the system is."""

    def answer(self, answer: SubmissionEvent) -> None:
        """Tell the tab that submits what has come of it."""

    @property
    def read_only(self) -> bool:
        """Whether this console only looks."""
        return self._source.control is None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A console that only looks has not got the commands that change something."""
        return commands.allowed(action, read_only=self.read_only)

    def acting(self) -> SystemControl | None:
        """What has things done; says so when this console only looks."""
        if self._source.control is None:
            self.tell(self.tr("This console only looks (--read-only)."), trouble=True)
        return self._source.control

    def work(
        self,
        name: str,
        work: Callable[[], T],
        done: Callable[[T], None],
        failed: Callable[[str], None] | None = None,
    ) -> Job[T]:
        """Have something done that takes its time, and then look at once.

        Args:
            name: of the thread.
            work: what is to be done.
            done: takes what came of it.
            failed: takes the reason when it can't be done; the person is told when left out.
        """

        def finished(found: T) -> None:
            done(found)
            self.poke()

        def refused(reason: str) -> None:
            if failed is None:
                self.tell(reason, trouble=True)
            else:
                failed(reason)
            self.poke()

        return Job(name, self.post_message, work, finished, refused)

    def deliver(self, work: Callable[[], None]) -> None:
        """Have something done in this screen's own thread. Any thread may call it."""
        self.post_message(Delivered(work))

    @on(Delivered)
    def _do_delivered(self, event: Delivered) -> None:
        event.stop()
        event.work()

    def tell(self, text: str, *, trouble: bool = False) -> None:
        """Say something to the person."""
        self.notify(
            display_text.clean(text, 600),
            severity="error" if trouble else "information",
            timeout=8 if trouble else 4,
            markup=False,
        )

    @on(NotificationRequested)
    def _tell(self, event: NotificationRequested) -> None:
        event.stop()
        self.tell(event.text, trouble=event.trouble)

    @on(CopyRequested)
    def _copy(self, event: CopyRequested) -> None:
        event.stop()
        self.app.copy_to_clipboard(event.text)
        self.tell(self.tr("Copied {what}, if the terminal lets programs copy.", what=event.what))

    def _ask_first(self, question: str, yes: str, work: Callable[[], None], *, more: str = "") -> None:
        """Ask, and do it only when the answer is yes."""

        def answered(answer: str | None) -> None:
            if answer == "yes":
                work()

        self.app.push_screen(confirm(self.tr, question, yes, more=more), answered)
