"""What has to be closed: connections, and what owns them."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Closeable(ABC):
    """What has to be closed, and is at the end of its `with` block."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything. A second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
