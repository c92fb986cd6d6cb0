"""Notices that the files of the user's modules have changed."""

from collections.abc import Callable, Sequence

from core.file_states import FileState, state_of

INTERVAL = 0.5
"""Seconds between two looks at the files."""


MAX_RESTLESS = 6
"""Looks for which a file that changes again and again keeps the changes of others from being noticed."""


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
        self._restless = 0
        """How many looks in a row have found a file other than the look before."""

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
        before, self._seen = self._seen, {path: self._state(path) for path in self._known}
        self._restless = 0 if self._seen == before else self._restless + 1
        if 0 < self._restless < MAX_RESTLESS:
            return ()
        changed = [path for path, file in self._seen.items() if file != self._known[path] and file == before.get(path)]
        self._known |= {path: self._seen[path] for path in changed}
        return changed
