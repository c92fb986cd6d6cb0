"""An `AsyncClient` behind the interface of `Client`, so that the same tests run over both."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Iterator
from types import TracebackType
from typing import Any, Self, TypeAlias, cast

import pytest

from core.client import AsyncClient, AsyncHandle, Client

OpenClient: TypeAlias = Callable[..., Client]
"""Makes a client; the arguments are those of `Client`."""


class Driven:
    """Runs an event loop during each call of a method. It is a proxy, so that no method is left out.

    Args:
        target: a client, or the handle of a task.
        runner: runs the event loop.
    """

    def __init__(self, target: AsyncClient | AsyncHandle, runner: asyncio.Runner) -> None:
        self._target = target
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._target, name)
        return self._driven(attribute) if inspect.ismethod(attribute) else attribute

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert isinstance(self._target, AsyncClient)
        self._runner.run(self._target.__aexit__(kind, error, trace))

    def _driven(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            begun = method(*arguments, **options)
            if isinstance(begun, AsyncGenerator):
                return self._stream(begun)
            value = self._runner.run(begun)
            return Driven(value, self._runner) if isinstance(value, AsyncHandle) else value

        return call

    def _stream(self, stream: AsyncGenerator[Any, None]) -> Iterator[Any]:
        try:
            while True:
                try:
                    yield self._runner.run(cast(Any, anext(stream)))
                except StopAsyncIteration:
                    return
        finally:
            self._runner.run(stream.aclose())


@pytest.fixture(params=["threads", "asyncio"])
def open_client(request: pytest.FixtureRequest) -> Iterator[OpenClient]:
    """Makes clients: those of `core.client.Client`, and then driven ones of `core.client.AsyncClient`."""
    if request.param == "threads":
        yield Client
        return
    with asyncio.Runner() as runner:
        yield lambda *arguments, **options: cast(Client, Driven(AsyncClient(*arguments, **options), runner))
