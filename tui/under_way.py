"""What takes long, is under way, and can be cancelled. One notion for all of it; it knows of no screen.

It belongs to the screen's thread; only the events are looked at from the threads that do the work.
"""

import threading


class UnderWay:
    """Each thing by its name: of one name there is one at a time."""

    def __init__(self) -> None:
        self._cancelled: dict[str, threading.Event] = {}
        self._notes: dict[str, str] = {}

    def begin(self, name: str) -> threading.Event | None:
        """Begin something; the event that is set when it is to end early. None when it is under way already."""
        if name in self._cancelled:
            return None
        return self._cancelled.setdefault(name, threading.Event())

    def end(self, name: str) -> None:
        """It is over, one way or the other."""
        self._cancelled.pop(name, None)
        self._notes.pop(name, None)

    def note(self, name: str, text: str) -> None:
        """How far it is; nothing is noted of what is over."""
        if name in self._cancelled:
            self._notes[name] = text

    @property
    def told(self) -> str:
        """How far everything is."""
        return " · ".join(self._notes.values())

    def cancel(self) -> bool:
        """Have what was begun last end early; whether there was anything that was not to end already."""
        for event in reversed(self._cancelled.values()):
            if not event.is_set():
                event.set()
                return True
        return False

    def cancel_everything(self) -> None:
        """Have everything end early."""
        for event in self._cancelled.values():
            event.set()
