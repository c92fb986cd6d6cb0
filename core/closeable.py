"""The base class of everything that holds a resource."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Closeable(ABC):
    """An object that must be closed, by `close` or by the end of its `with` block."""

    @abstractmethod
    def close(self) -> None:
        """Release the resources. A second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
