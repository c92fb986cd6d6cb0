"""The worker program: the consumer, the threads and the heartbeat; their start and stop."""

import logging
import math
import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Mapping, Sequence

import msgspec

from core.broker.base import Broker, Consumer, Queue
from core.config import Settings
from core.errors import BrokerUnavailable
from core.heartbeat import Heartbeat
from core.model import (
    MAX_KINDS,
    Counters,
    KindDescription,
    Part,
    ProcessPhase,
    ProcessRecord,
    Role,
    RunningTask,
    Trouble,
)
from core.repository.journal import Journal
from core.runner.frames import KindSettings, Setup
from core.signals import exit_code, on_stop
from core.worker import options, policy
from core.worker.fetcher import Fetcher
from core.worker.in_flight import InFlightTask, InFlightTasks
from core.worker.recorder import Recorder
from core.worker.run_outcomes import RunRules, RunSettings
from core.worker.runner_group import LaunchRunner, RunnerGroup
from core.worker.runner_process import RunnerProcess
from core.worker.runners import Runners
from core.worker.task_callbacks import Callbacks

TUNE_INTERVAL = 0.5
"""Seconds between two adjustments of the prefetch."""

BURST_IDLE_TIMEOUT = 0.5
"""Seconds without a message after which a worker in burst mode stops."""

BURST_BROKER_TIMEOUT = 15.0
"""Seconds for which a worker in burst mode tries to reach the broker."""

FAST_CLOSE_TIMEOUT = 1.0
"""Seconds to wait for the consumer to give back its messages when the worker stops at once."""

LEAVE_TIMEOUT = 5.0
"""Seconds for runners to do what the modules with tasks want at their end."""

INTERRUPT_TIMEOUT = 0.5
"""Seconds for tasks to stop that were asked to stop at once."""

RECORDER_TIMEOUT = 5.0
"""Seconds to wait for the recorder to store the last outcomes."""

READY_TIMEOUT = 1.0
"""Seconds to wait until the journal shows the worker as ready. It then takes tasks in any case."""

_log = logging.getLogger("cauce.worker")


def run_worker(settings: Settings, broker: Broker, journal: Journal, environment: Mapping[str, str]) -> int:
    """Run a worker. Returns the exit code.

    Args:
        settings: the values of `options`.
        broker: the broker that delivers the tasks.
        journal: the journal that stores them.
        environment: the environment of this process, which the runners inherit.

    Raises:
        TaskDefinitionError: the modules with tasks can't be imported. Then nothing else was started.
    """
    setup = _setup(settings)

    def launch(threads: int) -> RunnerProcess:
        return RunnerProcess(msgspec.structs.replace(setup, threads=threads), environment)

    first = launch(setup.threads)
    kinds = first.wait_ready().kinds
    return Worker(settings, broker, journal, launch, first, kinds).run()


def _runners(settings: Settings) -> int:
    return min(settings[options.RUNNERS], settings[options.CONCURRENCY])


def _setup(settings: Settings) -> Setup:
    return Setup(
        modules=settings[options.TASKS],
        lab=settings[options.LAB],
        files_root=settings[options.FILES_ROOT] or None,
        threads=-(-settings[options.CONCURRENCY] // _runners(settings)),
        timeout=settings[options.TIMEOUT] or None,
        reload=settings[options.RELOAD],
    )


class Worker:
    """A worker process.

    Args:
        settings: the values of `options`.
        broker: the broker that delivers the tasks.
        journal: the journal that stores them.
        launch: starts a runner.
        first: a runner that is ready.
        kinds: the kinds that it knows.
    """

    def __init__(
        self,
        settings: Settings,
        broker: Broker,
        journal: Journal,
        launch: LaunchRunner,
        first: RunnerProcess,
        kinds: Sequence[KindSettings],
    ) -> None:
        self._settings = settings
        self._broker = broker
        self._journal = journal
        self._started_at = time.time()
        self._kinds = kinds
        self._phase = ProcessPhase.STARTING
        self._events: queue.SimpleQueue[signal.Signals | BaseException] = queue.SimpleQueue()
        self._number = 0
        self._last_busy = (0.0, 0)
        with journal.open() as repository, repository.transaction():
            self._number = repository.register(self._record(Counters()))
            repository.tell_kinds(_descriptions(kinds))
        self.name = settings[options.NAME] or f"w{self._number}"
        self._beginnings = journal.open_beginnings(self._number, self.name)
        self._in_flight = InFlightTasks(self._beginnings)
        self._concurrency = settings[options.CONCURRENCY]
        # As many as run at once, until their duration is known, so that other workers get a share of the first tasks.
        self._prefetch = settings[options.PREFETCH] or self._concurrency
        self._recorder = Recorder(
            journal.open,
            self._acknowledge,
            lambda generation: self._fetcher.leave_former_queue(generation),
            self._events.put,
        )
        broker.on_queue_recreated = self._recorder.redispatch
        self._consumer: Consumer = broker.consumer(Queue.TASKS, self._prefetch)
        self._runners = Runners(
            self._run_settings(),
            RunRules(self._run_settings(), kinds),
            RunnerGroup(launch, self._beginnings, first, _runners(settings)),
            self._beginnings,
            Callbacks(
                begin=lambda task: self._in_flight.begin(task, self._consumer.holds),
                give_back=self._in_flight.give_back,
                add_strike=self._recorder.add_strike,
                remove_strike=self._recorder.remove_strike,
                give_up=self._recorder.give_up,
                finish=self._recorder.finish,
                drop=self._recorder.drop,
                take_kinds=self._take_kinds,
            ),
            self._events.put,
        )
        self._fetcher = Fetcher(
            self._consumer,
            journal.open_readonly,
            self._in_flight,
            self._runners.add,
            self._runners.cancel,
            settings[options.MAX_TASKS],
            self._events.put,
        )
        self._heartbeat = Heartbeat(journal.open_heartbeat, self._describe, self._number, self._events.put)

    def run(self) -> int:
        """Work until a signal, the end of the burst, or the last of `max-tasks`. Returns the exit code."""
        on_stop(self._events.put, self._stop_at_once)
        try:
            self._broker.prepare()
        except BrokerUnavailable as error:
            _log.warning("waiting for the broker: %s", error)
        self._recorder.start()
        self._runners.start()
        self._phase = ProcessPhase.READY
        self._heartbeat.start()
        # The supervisor must learn that the worker was ready even if it soon dies.
        self._heartbeat.wait_written(READY_TIMEOUT)
        self._fetcher.start()
        _log.info("%s is ready: %d at once; broker: %s", self.name, self._concurrency, self._broker.description)
        code = self._wait()
        return self._drain(code)

    def _wait(self) -> int:
        """Wait until it is time to stop. Returns the exit code."""
        while True:
            try:
                event = self._events.get(timeout=TUNE_INTERVAL)
            except queue.Empty:
                code = self._exit_code()
                if code is not None:
                    return code
                self._tune_prefetch()
            else:
                if isinstance(event, BaseException):
                    return 1
                _log.info(
                    "stopping: finishing %d running tasks; a second signal ends the worker at once",
                    len(self._runners.running),
                )
                return 0

    def _exit_code(self) -> int | None:
        """Return the exit code when it is time to stop, else None."""
        if len(self._in_flight):
            return None
        if self._fetcher.exhausted:
            return 0
        if self._settings[options.BURST]:
            now = time.monotonic()
            idle_since = self._fetcher.idle_since
            if idle_since is not None and now - idle_since > BURST_IDLE_TIMEOUT:
                return 0
            away_since = self._fetcher.away_since
            if away_since is not None and now - away_since > BURST_BROKER_TIMEOUT:
                _log.error("the broker can't be reached: %s", self._consumer.trouble)
                return 3
        return None

    def _tune_prefetch(self) -> None:
        """Set the prefetch according to the duration of the last tasks."""
        if self._settings[options.PREFETCH]:
            return
        counters = self._recorder.counters
        ended = counters.done + counters.failed + counters.retried + counters.discarded
        if not ended:
            return
        wanted = policy.prefetch(self._concurrency, self._seconds_each(counters.busy_seconds, ended))
        slow = wanted == self._concurrency != self._prefetch
        if slow or not self._prefetch / 2 < wanted < self._prefetch * 2:
            _log.debug("prefetching up to %d messages", wanted)
            self._prefetch = wanted
            self._consumer.resize(wanted)

    def _seconds_each(self, busy_seconds: float, ended: int) -> float:
        """Return the seconds that a task took lately. Running tasks count, so that a long one shows before it ends."""
        before_seconds, before_ended = self._last_busy
        running = self._runners.running
        now = time.time()
        seconds = busy_seconds - before_seconds + sum(max(0.0, now - task.since) for task in running)
        tasks = ended - before_ended + len(running)
        if ended > before_ended:
            self._last_busy = (busy_seconds, ended)
        return seconds / max(1, tasks)

    def _drain(self, code: int) -> int:
        """Finish the running tasks, store their outcomes and give back the rest."""
        self._phase = ProcessPhase.DRAINING
        self._fetcher.stop()
        if self._runners.stop(self._settings[options.SHUTDOWN_TIMEOUT]):
            self._runners.leave(LEAVE_TIMEOUT)
        else:
            _log.warning(
                "stopping without %d tasks that did not finish; they will run again", len(self._runners.running)
            )
            self._recorder.remove_strikes(self._runners.running_suspects, RECORDER_TIMEOUT)
            self._runners.interrupt(INTERRUPT_TIMEOUT)
        # Before the messages are given back: their tasks must not run twice at once.
        self._runners.kill()
        self._recorder.stop(RECORDER_TIMEOUT)
        # Before the broker has the messages again: none of them is lost.
        self._beginnings.close()
        self._consumer.close()
        self._heartbeat.stop()
        _log.info("stopped")
        return code

    def _stop_at_once(self, stop_signal: signal.Signals) -> None:
        """Exit at once. Tasks whose outcome is not stored are not acknowledged either, and run again elsewhere."""
        _log.warning("stopping at once; %d tasks run again elsewhere", len(self._in_flight))
        self._recorder.remove_strikes(self._runners.running_suspects, FAST_CLOSE_TIMEOUT / 2)
        self._runners.kill()
        self._beginnings.close()
        closing = threading.Thread(target=self._consumer.close, daemon=True)
        closing.start()
        closing.join(FAST_CLOSE_TIMEOUT)
        os._exit(exit_code(stop_signal))

    def _acknowledge(self, tasks: Sequence[InFlightTask]) -> None:
        self._consumer.ack(self._in_flight.remove(tasks))

    def _take_kinds(self, kinds: Sequence[KindSettings]) -> None:
        """Tell what has changed in the kinds since they were told last."""
        if changed := [kind for kind in kinds if kind not in self._kinds]:
            self._recorder.tell_kinds(_descriptions(changed))
        self._kinds = kinds

    def _run_settings(self) -> RunSettings:
        return RunSettings(
            worker=self.name,
            concurrency=self._concurrency,
            runners=_runners(self._settings),
            retries=self._settings[options.RETRIES],
            retry_delay=self._settings[options.RETRY_DELAY],
            timeout=self._settings[options.TIMEOUT] or None,
            max_tasks_per_runner=self._settings[options.MAX_TASKS_PER_RUNNER],
            max_memory_per_runner=self._settings[options.MAX_MEMORY_PER_RUNNER],
            reload=self._settings[options.RELOAD],
        )

    def _describe(self) -> ProcessRecord:
        counters = self._recorder.counters
        return self._record(
            msgspec.structs.replace(counters, discarded=counters.discarded + self._fetcher.discarded),
            self._phase,
            self._troubles(),
            in_hand=tuple(self._runners.running),
        )

    def _troubles(self) -> tuple[Trouble, ...]:
        reasons = (
            (Part.PROCESS, self._runners.trouble),  # first: its text has no part before it
            (Part.BROKER, self._consumer.trouble),
            (Part.JOURNAL, self._recorder.trouble),
        )
        return tuple(Trouble(part, reason) for part, reason in reasons if reason)

    def _record(
        self,
        counters: Counters,
        phase: ProcessPhase = ProcessPhase.STARTING,
        troubles: tuple[Trouble, ...] = (),
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
            kinds=tuple(kind.kind for kind in self._kinds[:MAX_KINDS]),
        )


def _descriptions(kinds: Sequence[KindSettings]) -> list[KindDescription]:
    """Return what a worker tells of its kinds."""
    return [
        KindDescription(
            kind=each.kind,
            description=each.description,
            schema=each.schema,
            retries=each.retries,
            timeout=0.0 if each.timeout == math.inf else each.timeout,
        )
        for each in kinds
    ]
