"""The server program: the listener, the handler, the journal's threads and the heartbeat; their start and stop."""

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
from core.model import Counters, Part, ProcessPhase, ProcessRecord, Role, Trouble
from core.protocol import Limits
from core.repository.journal import Journal
from core.server import options
from core.server.connection import AcceptedConnection
from core.server.handler import RequestHandler, Ticket
from core.server.journal_reader import JournalReader
from core.server.journal_writer import JournalWriter
from core.server.listener import Listener, ProtocolFactory
from core.server.rate_limits import Limiter
from core.server.tls import TlsProtocol
from core.signals import exit_code, on_rebalance, on_stop

DEAD_LETTER_PREFETCH = 200
BROKER_TIMEOUT = 0.5
"""Seconds to wait for the broker before the server starts without it."""

GOAWAY_DELAY = 0.5
"""Seconds between a goaway and the closing of idle connections, so that clients can read it."""

REBALANCE_SPREAD = 2.0
"""Seconds over which the reconnections of clients are spread after the signal to rebalance."""

_log = logging.getLogger("cauce.server")


class Server:
    """A server process.

    Args:
        settings: the values of `options`.
        token: the token that clients must send, or None for no token.
        broker: the broker to publish tasks to.
        journal: the journal to store tasks in.
        tls: the TLS context, or None for no encryption.
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
        """Serve until a stop signal. Returns the exit code.

        Raises:
            CauceError: the server can't start.
        """
        return asyncio.run(self._run())

    async def _run(self) -> int:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_log_loop_error)
        stopping = asyncio.Event()
        code = 0

        def stop(_: signal.Signals) -> None:
            loop.call_soon_threadsafe(stopping.set)

        def fail(_: BaseException) -> None:
            nonlocal code
            code = 1
            loop.call_soon_threadsafe(stopping.set)

        def rebalance() -> None:
            loop.call_soon_threadsafe(self._rebalance, handler)

        on_stop(stop, lambda again: os._exit(exit_code(again)))
        # The first step: a server whose port is in use leaves no record in the journal.
        listener = await self._listen(lambda: make_protocol())
        with self._journal.open() as repository, repository.transaction():
            self._number = repository.register(self._describe())
        handler = RequestHandler(self._name, self._settings[options.MAX_CONNECTIONS])
        self._writer = JournalWriter(
            self._journal.open, self._make_dispatcher, self._number, handler.deliver_threadsafe, fail
        )
        reader = JournalReader(self._journal.open_readonly, handler.deliver_threadsafe, fail, handler.is_disconnected)
        dead_letters = DeadLetters(self._open_dead_letters, self._journal.open, fail)
        heartbeat = Heartbeat(self._journal.open_heartbeat, self._describe, self._number, fail)
        handler.attach_journal(self._writer, reader)
        on_rebalance(rebalance)
        make_protocol = self._protocol_factory(handler)
        for thread in (self._writer, reader, dead_letters):
            thread.start()
        await self._wait_for_broker(self._writer)
        heartbeat.start()
        self._start_listening(listener)
        self._phase = ProcessPhase.READY
        _log.info("%s is ready on %s; broker: %s", self._name, self._address, self._broker.description)
        await self._check_limits(handler, stopping)
        _log.info("stopping: answering the open requests; a second signal ends the server at once")
        self._phase = ProcessPhase.DRAINING
        listener.close()
        await self._drain(handler, reader)
        await asyncio.to_thread(dead_letters.stop)
        await asyncio.to_thread(self._writer.stop, self._settings[options.SHUTDOWN_TIMEOUT])
        for connection in handler.connections:
            connection.abort()
        await asyncio.to_thread(heartbeat.stop)
        _log.info("stopped")
        return code

    @property
    def _name(self) -> str:
        return self._settings[options.NAME] or f"s{self._number}"

    def _make_dispatcher(self) -> Dispatcher:
        return Dispatcher(self._broker.publisher, self._number, time.monotonic(), lambda: self._broker.recreations)

    def _open_dead_letters(self) -> Consumer:
        return self._broker.consumer(Queue.DEAD, DEAD_LETTER_PREFETCH)

    async def _listen(self, protocol_factory: ProtocolFactory) -> Listener:
        """Bind the address. Connections are accepted later, by `_start_listening`."""
        loop = asyncio.get_running_loop()
        try:
            listener = await loop.create_server(protocol_factory, *self._address.pair, start_serving=False)
        except OSError as error:
            raise self._listen_error(error) from error
        name = listener.sockets[0].getsockname()
        self._address = Address(self._address.host, name[1])
        return Listener(listener, protocol_factory)

    def _start_listening(self, listener: Listener) -> None:
        """Accept connections. Of two servers that bound the same address at the same moment, one fails here."""
        try:
            listener.open()
        except OSError as error:
            raise self._listen_error(error) from error

    def _listen_error(self, error: OSError) -> SupervisorError:
        reason = error.strerror or str(error)
        return SupervisorError(f"can't listen on {self._address}: {reason}; choose another with --listen")

    def _protocol_factory(self, handler: RequestHandler) -> ProtocolFactory:
        limits = Limits(max_line=self._settings[options.MAX_LINE], idle_seconds=self._settings[options.IDLE_SECONDS])
        age = self._settings[options.CONNECTION_AGE]
        listen = self._settings[options.LISTEN]
        limiter = Limiter(
            exposure.rate_limit(self._settings, listen), exposure.connections_per_client(self._settings, listen)
        )

        def make() -> asyncio.Protocol:
            goaway_at = time.monotonic() + age * random.uniform(0.8, 1.2)  # noqa: S311 - to spread reconnections
            connection = AcceptedConnection(handler, limits, self._name, self._token, goaway_at, limiter)
            return connection if self._tls is None else TlsProtocol(connection, self._tls)

        return make

    async def _wait_for_broker(self, writer: JournalWriter[Ticket]) -> None:
        """Wait briefly for the broker, so that a healthy server does not report that it has none."""
        deadline = time.monotonic() + BROKER_TIMEOUT
        while writer.broker_trouble and time.monotonic() < deadline:
            await asyncio.sleep(0.01)

    async def _check_limits(self, handler: RequestHandler, stopping: asyncio.Event) -> None:
        """Apply the limits once a second until the server is stopped."""
        while not stopping.is_set():
            handler.check_limits(time.monotonic())
            try:
                await asyncio.wait_for(stopping.wait(), 1.0)
            except TimeoutError:
                continue

    def _rebalance(self, handler: RequestHandler) -> None:
        """Ask every client to reconnect, spread over time. The balancer then distributes them again."""
        now = time.monotonic()
        for connection in handler.connections:
            connection.advance_goaway(now + random.uniform(0.0, REBALANCE_SPREAD))  # noqa: S311 - to spread reconnections

    async def _drain(self, handler: RequestHandler, reader: JournalReader[Ticket]) -> None:
        """Answer the open requests, ask the clients to reconnect to another server, and close the connections."""
        deadline = time.monotonic() + self._settings[options.SHUTDOWN_TIMEOUT]
        for connection in handler.connections:
            connection.send_goaway("this server is shutting down")
        if handler.connections:
            await asyncio.sleep(min(GOAWAY_DELAY, self._settings[options.SHUTDOWN_TIMEOUT]))
        handler.start_shutdown()
        await asyncio.to_thread(reader.stop)
        while handler.connections and time.monotonic() < deadline:
            for connection in handler.connections:
                if connection.is_idle:
                    connection.close()
                connection.check_timeouts(time.monotonic())
            await asyncio.sleep(0.02)

    def _describe(self) -> ProcessRecord:
        writer = self._writer
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
            troubles=self._troubles(),
            counters=Counters(accepted=writer.accepted, published=writer.published) if writer else Counters(),
        )

    def _troubles(self) -> tuple[Trouble, ...]:
        writer = self._writer
        reasons = [(Part.BROKER, writer.broker_trouble), (Part.JOURNAL, writer.trouble)] if writer else []
        return tuple(Trouble(part, reason) for part, reason in reasons if reason)


def read_token(settings: Settings) -> str | None:
    """Return the token that clients must send, or None. Warns when the server is exposed.

    Raises:
        ConfigurationError: the token can't be read, or other machines can connect without token or encryption.
    """
    token = config.read_token(settings)
    warning = exposure.check(settings, settings[options.LISTEN], token=token is not None)
    if warning:
        _log.warning("%s", warning)
    return token


def _log_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """Log, as one line, an error that no request caused."""
    error = context.get("exception")
    _log.error("%s: %s", context.get("message"), error, exc_info=error if isinstance(error, Exception) else None)
