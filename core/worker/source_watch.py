"""Notices that the files of the user's modules have changed."""

from collections.abc import Callable, Sequence

from core.file_states import FileState, state_of

INTERVAL = 0.5
"""Seconds between two looks at the files."""


class SourceWatch:
    """Watches files. It belongs to the thread of the runners.

    Args:
        state: returns what a file is like now.
    """

    def __init__(self, state: Callable[[str], FileState] = state_of) -> None:
        self._state = state
        self._known: dict[str, FileState] = {}
        """The files as the newest runner imported them, or as they were when a change was noticed."""
        self._seen: dict[str, FileState] = {}
        """The files at the last look."""
        self._next_look = 0.0

    def take(self, files: Sequence[FileState]) -> None:
        """Take the files that a runner has imported, as they were then."""
        self._known = {file.path: file for file in files}

    def changed(self, now: float) -> Sequence[str]:
        """Return the paths of the files that have changed; none before they have rested for a moment.

        Args:
            now: a time of the monotonic clock.
        """
        if now < self._next_look:
            return ()
        self._next_look = now + INTERVAL
        seen = {path: self._state(path) for path in self._known}
        rests, self._seen = seen == self._seen, seen
        changed = [path for path, file in seen.items() if file != self._known[path]] if rests else []
        if changed:
            self._known = seen
        return changed
