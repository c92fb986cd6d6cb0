"""The connections of an `AsyncClient`. They belong to the event loop in which they were opened."""

import asyncio
import time

from core.client.async_connection import AsyncConnection, connect
from core.client.connection import ConnectionLost
from core.client.pool import ServerPool, closed_on_error, is_welcome


class AsyncConnectionPool(ServerPool[AsyncConnection]):
    """Connections to some servers, for coroutines; the arguments are those of `ServerPool`."""

    async def acquire(self) -> AsyncConnection:
        """Return a connection on which the server has sent its welcome; see `ConnectionPool.acquire`."""
        idle = self._take_idle()
        if idle is not None:
            return idle
        address = self._choose()
        try:
            connection = await connect(address, self._connect_timeout, self._tls)
            with closed_on_error(connection):
                await self._greet(connection)
        except ConnectionLost as error:
            raise self._failed(address, str(error)) from error
        return connection

    async def _greet(self, connection: AsyncConnection) -> None:
        """Send the hello and wait for the welcome."""
        self._write_hello(connection)
        connection.flush()
        try:
            async with asyncio.timeout(self.timeout):
                while not is_welcome(connection, connection.receive(time.monotonic())):
                    connection.arrival.clear()
                    await connection.arrival.wait()
        except TimeoutError as error:
            raise self._late_welcome() from error
