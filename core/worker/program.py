"""The worker as a whole: the consumer, the threads, the heartbeat; how it starts and how it leaves."""

import logging
import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from core.broker.base import Broker, Consumer, Queue
from core.config import Settings
from core.errors import BrokerUnavailable
from core.heartbeat import Heartbeat
from core.model import Counters, ProcessPhase, ProcessRecord, Role, RunningTask
from core.repository.journal import Journal
from core.signals import exit_code, on_stop
from core.tasks import Registry
from core.worker import options, policy
from core.worker.fetcher import Fetcher
from core.worker.handler_threads import Callbacks, HandlerThreads, RunSettings
from core.worker.in_flight import InFlightTask, InFlightTasks
from core.worker.recorder import Recorder

TUNE_INTERVAL = 0.5
"""Seconds between two looks at how many messages to hold."""

BURST_IDLE = 0.5
"""Seconds without a message after which a worker in a burst leaves."""

BURST_PATIENCE = 15.0
"""Seconds for which a worker in a burst tries to reach the broker."""

HASTE = 1.0
"""Seconds that giving back what is held may take when the worker leaves at once."""

LAST_WORDS = 5.0
"""Seconds that the journal's thread has to store the last outcomes."""

SHOW_PATIENCE = 1.0
"""Seconds to wait for the journal to say that the worker is ready, before it takes tasks all the same."""

_log = logging.getLogger("cauce.worker")


class Worker:
    """One worker.

    Args:
        settings: as `options` describes them.
        registry: the kinds that can be run.
        broker: brings the tasks.
        journal: holds them.
    """

    def __init__(self, settings: Settings, registry: Registry, broker: Broker, journal: Journal) -> None:
        self._settings = settings
        self._broker = broker
        self._journal = journal
        self._started_at = time.time()
        self._phase = ProcessPhase.STARTING
        self._events: queue.SimpleQueue[signal.Signals | BaseException] = queue.SimpleQueue()
        self._number = 0
        self._seen = (0.0, 0)
        with journal.open() as repository, repository.transaction():
            self._number = repository.register(self._record(Counters()))
        self.name = settings[options.NAME] or f"w{self._number}"
        self._hold = InFlightTasks()
        self._concurrency = settings[options.CONCURRENCY]
        # As many as run, until it is known how long they take: a second worker gets its share of the first ones.
        self._prefetch = settings[options.PREFETCH] or self._concurrency
        self._recorder = Recorder(journal.open, self._acknowledge, self._events.put)
        broker.on_queue_recreated = self._recorder.redispatch
        self._consumer: Consumer = broker.consumer(Queue.TASKS, self._prefetch)
        self._handlers = HandlerThreads(
            self._concurrency,
            registry,
            self._rules(),
            Callbacks(
                begin=lambda held: self._hold.begin(held, self._consumer.holds),
                add_strike=self._recorder.add_strike,
                finish=self._recorder.finish,
                drop=self._recorder.drop,
            ),
            self._events.put,
        )
        self._taker = Fetcher(
            self._consumer,
            journal.open,
            self._hold,
            self._handlers.add,
            settings[options.MAX_TASKS],
            self._events.put,
        )
        self._heartbeat = Heartbeat(journal.open_heartbeat, self._describe, self._number, self._events.put)

    def run(self) -> int:
        """Work until a signal, the end of the burst, or the last of `max-tasks`; the exit code."""
        on_stop(self._events.put, self._again)
        try:
            self._broker.prepare()
        except BrokerUnavailable as error:
            _log.warning("waiting for the broker: %s", error)
        self._recorder.start()
        self._handlers.start()
        self._phase = ProcessPhase.READY
        self._heartbeat.start()
        # Whoever looks after it shall know that it could work, even if its first task kills it.
        self._heartbeat.wait_shown(SHOW_PATIENCE)
        self._taker.start()
        _log.info("%s is ready: %d at once; broker: %s", self.name, self._concurrency, self._broker.description)
        code = self._wait()
        return self._leave(code)

    def _wait(self) -> int:
        """Watch over everything until it is time to leave; the exit code."""
        while True:
            try:
                event = self._events.get(timeout=TUNE_INTERVAL)
            except queue.Empty:
                code = self._finished()
                if code is not None:
                    return code
                self._tune()
            else:
                if isinstance(event, BaseException):
                    return 1
                _log.info(
                    "leaving: finishing %d running tasks; the same signal again leaves at once",
                    len(self._handlers.running),
                )
                return 0

    def _finished(self) -> int | None:
        """The exit code when there is nothing more to do; else None."""
        if self._handlers.abandoned >= self._concurrency:
            _log.error("too many tasks did not stop after their time-outs: leaving, to begin anew")
            return 1
        if len(self._hold):
            return None
        if self._taker.exhausted:
            return 0
        if self._settings[options.BURST]:
            now = time.monotonic()
            idle_since = self._taker.idle_since
            if idle_since is not None and now - idle_since > BURST_IDLE:
                return 0
            away_since = self._taker.away_since
            if away_since is not None and now - away_since > BURST_PATIENCE:
                _log.error("the broker can't be reached: %s", self._consumer.trouble)
                return 3
        return None

    def _tune(self) -> None:
        """Hold as many messages as the tasks' pace asks for."""
        if self._settings[options.PREFETCH]:
            return
        counters = self._recorder.counters
        ended = counters.done + counters.failed + counters.retried + counters.discarded
        if not ended:
            return
        wanted = policy.prefetch(self._concurrency, self._pace(counters.busy_seconds, ended))
        slow = wanted == self._concurrency != self._prefetch
        if slow or not self._prefetch / 2 < wanted < self._prefetch * 2:
            _log.debug("holding up to %d messages", wanted)
            self._prefetch = wanted
            self._consumer.resize(wanted)

    def _pace(self, busy_seconds: float, ended: int) -> float:
        """Seconds that a task took of late. Those that run are counted: a long one shows before it ends."""
        before_seconds, before_ended = self._seen
        running = self._handlers.running
        now = time.time()
        seconds = busy_seconds - before_seconds + sum(max(0.0, now - task.since) for task in running)
        tasks = ended - before_ended + len(running)
        if ended > before_ended:
            self._seen = (busy_seconds, ended)
        return seconds / max(1, tasks)

    def _leave(self, code: int) -> int:
        """Finish what runs, store it, give back the rest."""
        self._phase = ProcessPhase.DRAINING
        self._taker.stop()
        if not self._handlers.stop(self._settings[options.SHUTDOWN_TIMEOUT]):
            _log.warning(
                "leaving without %d tasks that did not finish; they will run again", len(self._handlers.running)
            )
            self._recorder.remove_strikes(self._handlers.running_suspects, LAST_WORDS)
            self._handlers.interrupt()
        self._recorder.stop(LAST_WORDS)
        self._consumer.close()
        self._heartbeat.stop()
        _log.info("left")
        return code

    def _again(self, stop_signal: signal.Signals) -> None:
        """Leave at once. What is not stored is not acknowledged either, and runs again elsewhere."""
        _log.warning("leaving at once; %d tasks run again elsewhere", len(self._hold))
        self._recorder.remove_strikes(self._handlers.running_suspects, HASTE / 2)
        self._handlers.interrupt()
        giving_back = threading.Thread(target=self._consumer.close, daemon=True)
        giving_back.start()
        giving_back.join(HASTE)
        os._exit(exit_code(stop_signal))

    def _acknowledge(self, tasks: Sequence[InFlightTask]) -> None:
        self._consumer.ack(self._hold.remove(tasks))

    def _rules(self) -> RunSettings:
        root = self._settings[options.FILES_ROOT]
        return RunSettings(
            worker=self.name,
            retries=self._settings[options.RETRIES],
            retry_delay=self._settings[options.RETRY_DELAY],
            timeout=self._settings[options.TIMEOUT] or None,
            files_root=Path(root) if root else None,
        )

    def _describe(self) -> ProcessRecord:
        counters = self._recorder.counters
        return self._record(
            msgspec.structs.replace(counters, discarded=counters.discarded + self._taker.discarded),
            self._phase,
            self._troubles(),
            in_hand=tuple(self._handlers.running),
        )

    def _troubles(self) -> tuple[str, ...]:
        troubles = (("broker", self._consumer.trouble), ("journal", self._recorder.trouble))
        return tuple(f"{part}: {trouble}" for part, trouble in troubles if trouble)

    def _record(
        self,
        counters: Counters,
        phase: ProcessPhase = ProcessPhase.STARTING,
        troubles: tuple[str, ...] = (),
        in_hand: tuple[RunningTask, ...] = (),
    ) -> ProcessRecord:
        return ProcessRecord(
            role=Role.WORKER,
            name=self._settings[options.NAME] or f"w{self._number}",
            host=socket.gethostname(),
            pid=os.getpid(),
            threads=self._settings[options.CONCURRENCY],
            started_at=self._started_at,
            seen_at=time.time(),
            phase=phase,
            troubles=troubles,
            counters=counters,
            in_hand=in_hand,
        )
