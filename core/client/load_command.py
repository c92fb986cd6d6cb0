"""The sub-command `load`: as many tasks as are wanted, as fast as they are taken or at a steady rate; and the figures.

It is made to be cheap, since it shares its machine with what it measures: see `cpu` in its figures.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import msgspec

from core import formatting
from core.client.client import Client
from core.client.histogram import Histogram
from core.client.load_connection import LoadConnection, LoadShare
from core.client.load_lines import SubmitLineTemplate
from core.client.pool import ConnectionPool
from core.client.values import Refused, TaskOutcome
from core.identifiers import new_id
from core.jsontext import Json

POLL = 0.05
"""Seconds between two looks."""

STALLED = 60.0
"""Seconds in which no task has ended, after which it is no use to wait on."""

Progress = Callable[[int], None]
"""Shows how many tasks were accepted; called often."""


class LoadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asks for."""

    tasks: int
    connections: int
    window: int
    rate: float | None
    kind: str
    payload: Json
    wait: bool


class LoadReport(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What was measured. Times are in seconds."""

    tasks: int
    connections: int
    window: int
    accepted: int
    seconds: float
    accepted_per_second: float
    latency_p50: float
    latency_p95: float
    latency_p99: float
    latency_max: float
    cpu: float
    """Seconds of processor time that the generator itself took for a task."""
    errors: dict[str, int]
    stored: int | None = None
    """How many ended, when they were waited for."""
    stored_seconds: float | None = None
    stored_per_second: float | None = None


class LoadCommand:
    """One run.

    Args:
        pool: has the connections for the load.
        client: asks how far it is.
        order: what to do.
        patience: for how many seconds to go on when nothing but trouble comes.
        progress: shows it.
        stop: set from outside to end early.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        client: Client,
        order: LoadOptions,
        patience: float,
        progress: Progress,
        stop: threading.Event | None = None,
    ) -> None:
        self._client = client
        self._order = order
        self._progress = progress
        self._stop = stop or threading.Event()
        self._error: BaseException | None = None
        run_id = f"load-{new_id()[-12:]}"
        self._connections = [
            LoadConnection(
                pool, SubmitLineTemplate(f"{run_id}-{number}", order.kind, order.payload), share, patience, self._stop
            )
            for number, share in enumerate(shares(order), 1)
        ]

    def run(self) -> LoadReport:
        """Submit everything, wait if that is wanted, and return the figures.

        Raises:
            CauceError: it can't go on.
        """
        ended_before = self._client.stats().ended
        began, cpu_began = time.monotonic(), time.process_time()
        self._submit()
        seconds, cpu = time.monotonic() - began, time.process_time() - cpu_began
        figures = self._figures(seconds, cpu)
        if self._order.wait:
            figures.stored = self._wait(ended_before, figures.accepted)
            figures.stored_seconds = time.monotonic() - began
            figures.stored_per_second = figures.stored / figures.stored_seconds
        return figures

    def _submit(self) -> None:
        threads = [
            threading.Thread(target=self._guarded, args=(connection,), name="load", daemon=True)
            for connection in self._connections
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(POLL)
                    self._progress(sum(connection.accepted for connection in self._connections))
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(1.0)
        if self._error is not None:
            raise self._error

    def _guarded(self, connection: LoadConnection) -> None:
        try:
            connection.run()
        except BaseException as error:  # noqa: BLE001 - it is raised again in the main thread
            self._error = error
            self._stop.set()

    def _wait(self, ended_before: int, accepted: int) -> int:
        """Wait until the tasks have ended; how many have.

        Asking for each of them would cost as much as to submit it. The books tell when as many tasks as were accepted
        have ended. They count the tasks of others too, so that the last ones of each connection are asked for as well.
        """
        ended, moved_at = 0, time.monotonic()
        while ended < accepted:
            time.sleep(POLL)
            before, ended = ended, self._client.stats().ended - ended_before
            now = time.monotonic()
            if ended > before:
                moved_at = now
            elif now - moved_at > STALLED:
                return ended
        late = sum(isinstance(each, Refused) or not each.state.ended for each in self._last_ones())
        return accepted - late

    def _last_ones(self) -> Iterator[TaskOutcome | Refused]:
        ids = (task_id for connection in self._connections for task_id in connection.last_ids)
        return self._client.results(ids, timeout=STALLED)

    def _figures(self, seconds: float, cpu: float) -> LoadReport:
        latencies = Histogram()
        errors: Counter[str] = Counter()
        for connection in self._connections:
            latencies.merge(connection.latencies)
            errors.update(connection.errors)
        accepted = sum(connection.accepted for connection in self._connections)
        return LoadReport(
            tasks=self._order.tasks,
            connections=len(self._connections),
            window=self._order.window,
            accepted=accepted,
            seconds=seconds,
            accepted_per_second=accepted / seconds if seconds else 0.0,
            latency_p50=latencies.percentile(0.50),
            latency_p95=latencies.percentile(0.95),
            latency_p99=latencies.percentile(0.99),
            latency_max=latencies.most,
            cpu=cpu / max(1, accepted),
            errors=dict(errors),
        )


def shares(order: LoadOptions) -> list[LoadShare]:
    """Deal the tasks out among the connections; never more connections than tasks."""
    count = max(1, min(order.connections, order.tasks))
    each, more = divmod(order.tasks, count)
    rate = None if order.rate is None else order.rate / count
    return [
        LoadShare(tasks=each + (1 if number < more else 0), window=order.window, rate=rate) for number in range(count)
    ]


def describe(figures: LoadReport) -> list[str]:
    """The figures as lines of text."""
    percentiles = {
        "p50": figures.latency_p50,
        "p95": figures.latency_p95,
        "p99": figures.latency_p99,
        "max": figures.latency_max,
    }
    taken = (
        f"{figures.accepted:,} of {figures.tasks:,} accepted in {figures.seconds:.2f} s "
        f"({figures.accepted_per_second:,.0f}/s) over {figures.connections} connections, "
        f"up to {figures.window:,} open on each"
    )
    times = ", ".join(f"{name} {formatting.precise_duration(value)}" for name, value in percentiles.items())
    lines = [taken, f"submitted to accepted: {times}"]
    if figures.errors:
        lines.append("errors: " + ", ".join(f"{count:,} {code}" for code, count in sorted(figures.errors.items())))
    if figures.stored is not None and figures.stored_seconds is not None:
        rate = formatting.per_second(figures.stored, figures.stored_seconds)
        lines.append(f"{figures.stored:,} stored in {figures.stored_seconds:.2f} s ({rate}) end to end")
    lines.append(f"the generator took {figures.cpu * 1e6:.1f} µs of processor time for each task")
    return lines


def exit_code(figures: LoadReport) -> int:
    """0 when everything went well; 1 when tasks were refused, 75 when some had not ended."""
    if figures.accepted < figures.tasks:
        return 1
    return 75 if figures.stored is not None and figures.stored < figures.accepted else 0
