"""Waiting for a state, with a deadline."""

import time
from collections.abc import Callable

_PAUSE = 0.01


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Return as soon as `condition` holds; fail with `what` was waited for when it doesn't hold in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} seconds in vain for {what}")
        time.sleep(_PAUSE)
