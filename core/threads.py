"""Threads that the process can't do without: one that dies takes the process down, loudly.

A half-dead process is worse than a dead one: it looks alive and does nothing.
"""

import logging
import threading
from collections.abc import Callable

_log = logging.getLogger("cauce.threads")

OnDeath = Callable[[BaseException], None]
"""Called in the thread that dies of an error, with the error."""


def vital_thread(name: str, run: Callable[[], None], on_death: OnDeath) -> threading.Thread:
    """Make a daemon thread, not started, that tells `on_death` when `run` raises."""

    def guarded() -> None:
        try:
            run()
        except BaseException as error:  # noqa: BLE001 - whatever it is, nobody else would hear of it
            _log.critical("thread %s died: %s", name, error, exc_info=True)
            on_death(error)

    return threading.Thread(target=guarded, name=name, daemon=True)
