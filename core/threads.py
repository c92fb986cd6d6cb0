"""Vital threads: the process must end when one of them dies of an error.

A process that lost such a thread would look alive and do nothing.
"""

import logging
import threading
from collections.abc import Callable

from core.errors import reason_of

_log = logging.getLogger("cauce.threads")

OnDeath = Callable[[BaseException], None]
"""Called with the error, in the thread that dies of it."""


def vital_thread(name: str, run: Callable[[], None], on_death: OnDeath) -> threading.Thread:
    """Make a daemon thread that calls `on_death` when `run` raises. The caller starts it."""

    def guarded() -> None:
        try:
            run()
        except BaseException as error:  # noqa: BLE001 - nothing else would report it
            _log.critical("thread %s died: %s", name, reason_of(error), exc_info=True)
            on_death(error)

    return threading.Thread(target=guarded, name=name, daemon=True)
