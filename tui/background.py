"""Work that takes its time, each in a thread of its own; what comes of it is handed back to the screen's own thread.

Textual's own thread workers share a few places, and hold the program when it wants to end; these do neither.
"""

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from textual.message import Message

from core.errors import CauceError

T = TypeVar("T")

PREFIX = "job-"
"""What the names of such threads begin with."""

_log = logging.getLogger("cauce.tui")


class Delivered(Message):
    """Something is to be done in the screen's own thread."""

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__()
        self.work = work


class Job(Generic[T]):
    """One piece of work.

    Args:
        name: of its thread.
        post: hands a message to the screen.
        work: what takes its time.
        done: takes what came of it.
        failed: takes the reason when it could not be done.
    """

    def __init__(
        self,
        name: str,
        post: Callable[[Message], object],
        work: Callable[[], T],
        done: Callable[[T], None],
        failed: Callable[[str], None],
    ) -> None:
        self._post = post
        self._work = work
        self._done = done
        self._failed = failed
        self._thread = threading.Thread(target=self._run, name=f"{PREFIX}{name}", daemon=True)
        self._thread.start()

    def wait(self, timeout: float) -> None:
        """Wait until the work is over, for so many seconds at most."""
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            found = self._work()
        except CauceError as error:
            reason = str(error)
            self._post(Delivered(lambda: self._failed(reason)))
        except Exception as error:  # noqa: BLE001 - a person waits for an answer, whatever went wrong
            _log.exception("%s failed", threading.current_thread().name)
            told = f"{type(error).__name__}: {error}"
            self._post(Delivered(lambda: self._failed(told)))
        else:
            self._post(Delivered(lambda: self._done(found)))
