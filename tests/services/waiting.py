"""Waiting for a state, with a deadline."""

import time
from collections.abc import Callable

_MIN_PAUSE = 0.002
_MAX_PAUSE = 0.05
_SHARE = 0.05
"""The pause between two looks, as a share of the time waited so far: quick states are seen at once, slow ones cost
few looks."""


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
    """Return as soon as `condition` holds; fail with `what` was waited for when it doesn't hold in time."""
    began = time.monotonic()
    while not condition():
        waited = time.monotonic() - began
        if waited > seconds:
            raise AssertionError(f"waited {seconds:g} seconds in vain for {what}")
        time.sleep(min(max(_MIN_PAUSE, waited * _SHARE), _MAX_PAUSE))
