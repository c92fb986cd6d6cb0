"""Limits the memory of the process while a task runs that may have only so much.

Linux counts what the process has written or may write for itself: heap, stacks of threads, large arrays; neither files
that are mapped nor memory that is shared. A request beyond the limit fails, which Python shows as `MemoryError`.
Where the system enforces no such limit, the worker measures instead.
"""

import sys

ENFORCED = sys.platform == "linux"
"""Whether the limit is enforced here."""


class MemoryLimit:
    """The limit of this process. It belongs to the one thread that runs tasks."""

    def __init__(self) -> None:
        self._former: tuple[int, int] | None = None

    def set(self, size: int) -> None:
        """Let the process have this many bytes until `lift`."""
        if sys.platform == "linux":
            import resource  # POSIX only

            former = self._former or resource.getrlimit(resource.RLIMIT_DATA)
            self._former = former
            lowest = min([size, *(each for each in former if each != resource.RLIM_INFINITY)])
            resource.setrlimit(resource.RLIMIT_DATA, (lowest, former[1]))

    def lift(self) -> None:
        """Remove the limit that was set, if any."""
        if sys.platform == "linux" and self._former is not None:
            import resource

            resource.setrlimit(resource.RLIMIT_DATA, self._former)
            self._former = None
