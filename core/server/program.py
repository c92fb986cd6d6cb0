"""The server as a whole: the socket, the desk, the journal's threads, the heartbeat; how it starts and leaves."""

import asyncio
import logging
import os
import random
import signal
import socket
import ssl
import time

from core import config, exposure
from core.addresses import Address
from core.broker.base import Broker, Consumer, Queue
from core.config import Settings
from core.dead_letters import DeadLetters
from core.dispatcher import Dispatcher
from core.errors import SupervisorError
from core.heartbeat import Heartbeat
from core.model import Counters, ProcessPhase, ProcessRecord, Role
from core.protocol import Limits
from core.repository.journal import Journal
from core.server import options
from core.server.connection import AcceptedConnection, MakeConnection
from core.server.handler import RequestHandler, Ticket
from core.server.journal_reader import JournalReader
from core.server.journal_writer import JournalWriter
from core.server.listener import Listener
from core.server.rate_limits import Limiter
from core.server.tls import TlsProtocol
from core.signals import exit_code, on_rebalance, on_stop

DEAD_PREFETCH = 200
FIRST_TRY = 0.5
"""Seconds that the broker has to answer before the server goes on without it."""

GRACE = 0.5
"""Seconds that clients have to read a goaway before an idle connection is closed."""

REBALANCE_WITHIN = 2.0
"""Seconds over which clients are asked to connect anew, once a signal says that there are more servers."""

_log = logging.getLogger("cauce.server")


class Server:
    """One server.

    Args:
        settings: as `options` describes them.
        token: what clients have to show; None lets everybody in.
        broker: carries the tasks.
        journal: holds them.
        tls: what to encrypt with; None for no encryption.
    """

    def __init__(
        self,
        settings: Settings,
        token: str | None,
        broker: Broker,
        journal: Journal,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._tls = tls
        self._settings = settings
        self._token = token
        self._broker = broker
        self._journal = journal
        self._started_at = time.time()
        self._number = 0
        self._phase = ProcessPhase.STARTING
        self._address = settings[options.LISTEN]
        self._writer: JournalWriter[Ticket] | None = None

    def run(self) -> int:
        """Serve until a signal says to leave; the exit code.

        Raises:
            CauceError: it can't start.
        """
        return asyncio.run(self._run())

    async def _run(self) -> int:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_log_loop_trouble)
        leaving = asyncio.Event()
        code = 0

        def leave(_: signal.Signals) -> None:
            loop.call_soon_threadsafe(leaving.set)

        def die(_: BaseException) -> None:
            nonlocal code
            code = 1
            loop.call_soon_threadsafe(leaving.set)

        def rebalance() -> None:
            loop.call_soon_threadsafe(self._rebalance, desk)

        on_stop(leave, lambda again: os._exit(exit_code(again)))
        # First of all: a server that finds its port in use leaves no trace in the journal.
        door = await self._listen(lambda: make_connection())
        with self._journal.open() as repository, repository.transaction():
            self._number = repository.register(self._describe())
        desk = RequestHandler(self._name, self._settings[options.MAX_CONNECTIONS])
        self._writer = JournalWriter(self._journal.open, self._make_dispatcher, self._number, desk.post, die)
        reader = JournalReader(self._journal.open, desk.post, die, desk.gone)
        letters = DeadLetters(self._open_dead_letters, self._journal.open, die)
        heartbeat = Heartbeat(self._journal.open_heartbeat, self._describe, self._number, die)
        desk.open(self._writer, reader)
        on_rebalance(rebalance)
        make_connection = self._connection_maker(desk)
        for part in (self._writer, reader, letters):
            part.start()
        await self._reach_broker(self._writer)
        heartbeat.start()
        self._let_in(door)
        self._phase = ProcessPhase.READY
        _log.info("%s is ready on %s; broker: %s", self._name, self._address, self._broker.description)
        await self._watch(desk, leaving)
        _log.info("leaving: answering what is open; the same signal again leaves at once")
        self._phase = ProcessPhase.DRAINING
        door.close()
        await self._drain(desk, reader)
        await asyncio.to_thread(letters.stop)
        await asyncio.to_thread(self._writer.stop, self._settings[options.SHUTDOWN_TIMEOUT])
        for connection in desk.connections:
            connection.abort()
        await asyncio.to_thread(heartbeat.stop)
        _log.info("left")
        return code

    @property
    def _name(self) -> str:
        return self._settings[options.NAME] or f"s{self._number}"

    def _make_dispatcher(self) -> Dispatcher:
        return Dispatcher(self._broker.publisher, self._number, time.monotonic(), lambda: self._broker.recreations)

    def _open_dead_letters(self) -> Consumer:
        return self._broker.consumer(Queue.DEAD, DEAD_PREFETCH)

    async def _listen(self, make: MakeConnection) -> Listener:
        """Take the address; nobody is let in before the door is opened."""
        loop = asyncio.get_running_loop()
        try:
            listener = await loop.create_server(make, *self._address.pair, start_serving=False)
        except OSError as error:
            raise self._no_listening(error) from error
        name = listener.sockets[0].getsockname()
        self._address = Address(self._address.host, name[1])
        return Listener(listener, make)

    def _let_in(self, door: Listener) -> None:
        """Begin to take connections. Of two that took an address at the same moment, one learns it here."""
        try:
            door.open()
        except OSError as error:
            raise self._no_listening(error) from error

    def _no_listening(self, error: OSError) -> SupervisorError:
        reason = error.strerror or str(error)
        return SupervisorError(f"can't listen on {self._address}: {reason}; choose another with --listen")

    def _connection_maker(self, desk: RequestHandler) -> MakeConnection:
        limits = Limits(max_line=self._settings[options.MAX_LINE], idle_seconds=self._settings[options.IDLE_SECONDS])
        age = self._settings[options.CONNECTION_AGE]

        listen = self._settings[options.LISTEN]
        limiter = Limiter(
            exposure.rate_limit(self._settings, listen), exposure.connections_per_client(self._settings, listen)
        )

        def make() -> asyncio.Protocol:
            goaway_at = time.monotonic() + age * random.uniform(0.8, 1.2)  # noqa: S311 - to spread reconnections
            connection = AcceptedConnection(desk, limits, self._name, self._token, goaway_at, limiter)
            return connection if self._tls is None else TlsProtocol(connection, self._tls)

        return make

    async def _reach_broker(self, writer: JournalWriter[Ticket]) -> None:
        """Give the broker a moment, so that the first thing said of a healthy server is not that it has none."""
        deadline = time.monotonic() + FIRST_TRY
        while writer.broker_trouble and time.monotonic() < deadline:
            await asyncio.sleep(0.01)

    async def _watch(self, desk: RequestHandler, leaving: asyncio.Event) -> None:
        """Hold clients to their limits until it is time to leave."""
        while not leaving.is_set():
            desk.check(time.monotonic())
            try:
                await asyncio.wait_for(leaving.wait(), 1.0)
            except TimeoutError:
                continue

    def _rebalance(self, desk: RequestHandler) -> None:
        """Have every client connect anew, not all at once: what balances before this server then shares them out."""
        now = time.monotonic()
        for connection in desk.connections:
            connection.age(now + random.uniform(0.0, REBALANCE_WITHIN))  # noqa: S311 - to spread reconnections

    async def _drain(self, desk: RequestHandler, reader: JournalReader[Ticket]) -> None:
        """Answer what is open, ask the clients to go elsewhere, and let them."""
        deadline = time.monotonic() + self._settings[options.SHUTDOWN_TIMEOUT]
        for connection in desk.connections:
            connection.goaway("this server is leaving")
        if desk.connections:
            await asyncio.sleep(min(GRACE, self._settings[options.SHUTDOWN_TIMEOUT]))
        desk.close()
        await asyncio.to_thread(reader.stop)
        while desk.connections and time.monotonic() < deadline:
            for connection in desk.connections:
                if connection.settled:
                    connection.end()
                connection.check(time.monotonic())
            await asyncio.sleep(0.02)

    def _describe(self) -> ProcessRecord:
        writer = self._writer
        troubles = [f"{name}: {text}" for name, text in self._troubles() if text]
        return ProcessRecord(
            number=self._number,
            role=Role.SERVER,
            name=self._name,
            host=socket.gethostname(),
            pid=os.getpid(),
            address=str(self._address),
            started_at=self._started_at,
            seen_at=time.time(),
            phase=self._phase,
            troubles=tuple(troubles),
            counters=Counters(accepted=writer.accepted, published=writer.published) if writer else Counters(),
        )

    def _troubles(self) -> list[tuple[str, str]]:
        writer = self._writer
        return [("broker", writer.broker_trouble), ("journal", writer.trouble)] if writer else []


def read_token(settings: Settings) -> str | None:
    """The token that clients have to show.

    Raises:
        ConfigurationError: it can't be read, or strangers can connect without what that takes.
    """
    token = config.read_token(settings)
    warning = exposure.check(settings, settings[options.LISTEN], token=token is not None)
    if warning:
        _log.warning("%s", warning)
    return token


def _log_loop_trouble(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """One line for what goes wrong between requests."""
    error = context.get("exception")
    _log.error("%s: %s", context.get("message"), error, exc_info=error if isinstance(error, Exception) else None)
