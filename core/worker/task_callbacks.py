"""What the runners of a worker tell the rest of it about each task, and about their kinds."""

from collections.abc import Callable, Sequence

import msgspec

from core.model import Beginning, Outcome
from core.runner.frames import KindSettings
from core.worker.in_flight import InFlightTask


class Callbacks(msgspec.Struct, frozen=True):
    """The functions that are called for each task, and for each new runner."""

    begin: Callable[[InFlightTask], bool]
    """Marks a task as begun. Returns False when it must not run, because it is delivered again."""
    give_back: Callable[[InFlightTask], None]
    """Marks a task as not begun, since its runner never began it."""
    add_strike: Callable[[InFlightTask, Beginning, Callable[[], None]], None]
    """Stores a strike, or marks the task as unwanted, and calls the function then."""
    remove_strike: Callable[[InFlightTask], None]
    """Removes the strike of a suspect that did not begin after all."""
    give_up: Callable[[InFlightTask], None]
    """Receives a task that must not begin again: it was cancelled, or is a suspect that has had too many strikes."""
    finish: Callable[[InFlightTask, Outcome], None]
    """Receives the outcome of a task."""
    drop: Callable[[InFlightTask], None]
    """Receives a task that was not begun, because it is unwanted."""
    take_kinds: Callable[[Sequence[KindSettings]], None]
    """Receives the kinds that the newest runner knows."""
