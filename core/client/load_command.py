"""The sub-command `load`: submits many tasks, as fast as possible or at a steady rate, and measures the throughput.

It uses little processor time, because it shares the machine with what it measures: see `cpu` in its report.
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
from core.errors import ResultNotReady
from core.identifiers import new_id
from core.jsontext import Json

POLL_INTERVAL = 0.05
"""Seconds between updates of the progress, and between reads of the ledger."""

STALL_TIMEOUT = 60.0
"""Seconds without an ended task after which waiting stops."""

Progress = Callable[[int], None]
"""Shows the number of accepted tasks; called often."""


class LoadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the command line."""

    tasks: int
    connections: int
    window: int
    rate: float | None
    kind: str
    payload: Json
    wait: bool


class LoadReport(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The measurements. Times are in seconds."""

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
    """Processor time of the generator per task."""
    errors: dict[str, int]
    stored: int | None = None
    """The number of tasks whose outcome was stored, or None when the command did not wait for them."""
    stored_seconds: float | None = None
    stored_per_second: float | None = None


class LoadCommand:
    """One run of the command.

    Args:
        pool: provides the connections for the load.
        client: reads the statistics and the last results.
        options: the options of the command line.
        patience: seconds without a success before giving up.
        progress: shows the progress.
        stop: an event that ends the run early.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        client: Client,
        options: LoadOptions,
        patience: float,
        progress: Progress,
        stop: threading.Event | None = None,
    ) -> None:
        self._client = client
        self._options = options
        self._progress = progress
        self._stop = stop or threading.Event()
        self._error: BaseException | None = None
        run_id = f"load-{new_id()[-12:]}"
        self._connections = [
            LoadConnection(
                pool,
                SubmitLineTemplate(f"{run_id}-{number}", options.kind, options.payload),
                share,
                patience,
                self._stop,
            )
            for number, share in enumerate(split_load(options), 1)
        ]

    def run(self) -> LoadReport:
        """Submit all tasks, wait for them if requested, and return the measurements.

        Raises:
            CauceError: the run can't be completed.
        """
        ended_before = self._client.stats().ended
        started_at, cpu_before = time.monotonic(), time.process_time()
        self._submit()
        seconds, cpu = time.monotonic() - started_at, time.process_time() - cpu_before
        report = self._make_report(seconds, cpu)
        if self._options.wait:
            report.stored = self._wait(ended_before, report.accepted)
            report.stored_seconds = time.monotonic() - started_at
            report.stored_per_second = report.stored / report.stored_seconds
        return report

    def _submit(self) -> None:
        threads = [
            threading.Thread(target=self._run_connection, args=(connection,), name="load", daemon=True)
            for connection in self._connections
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(POLL_INTERVAL)
                    self._progress(sum(connection.accepted for connection in self._connections))
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(1.0)
        if self._error is not None:
            raise self._error

    def _run_connection(self, connection: LoadConnection) -> None:
        try:
            connection.run()
        except BaseException as error:  # noqa: BLE001 - it is raised again in the main thread
            self._error = error
            self._stop.set()

    def _wait(self, ended_before: int, accepted: int) -> int:
        """Wait until the tasks have ended. Returns the number that have.

        A request for each task would cost as much as its submission. Instead, the ledger shows when as many tasks have
        ended as were accepted. It also counts the tasks of other clients, so the last tasks of each connection are
        requested as well.
        """
        ended, progress_at = 0, time.monotonic()
        while ended < accepted:
            time.sleep(POLL_INTERVAL)
            before, ended = ended, self._client.stats().ended - ended_before
            now = time.monotonic()
            if ended > before:
                progress_at = now
            elif now - progress_at > STALL_TIMEOUT:
                return ended
        missing = sum(isinstance(outcome, Refused) or not outcome.state.ended for outcome in self._last_outcomes())
        return accepted - missing

    def _last_outcomes(self) -> Iterator[TaskOutcome | Refused]:
        ids = (task_id for connection in self._connections for task_id in connection.last_ids)
        return self._client.results(ids, timeout=STALL_TIMEOUT)

    def _make_report(self, seconds: float, cpu: float) -> LoadReport:
        latencies = Histogram()
        errors: Counter[str] = Counter()
        for connection in self._connections:
            latencies.merge(connection.latencies)
            errors.update(connection.errors)
        accepted = sum(connection.accepted for connection in self._connections)
        return LoadReport(
            tasks=self._options.tasks,
            connections=len(self._connections),
            window=self._options.window,
            accepted=accepted,
            seconds=seconds,
            accepted_per_second=accepted / seconds if seconds else 0.0,
            latency_p50=latencies.percentile(0.50),
            latency_p95=latencies.percentile(0.95),
            latency_p99=latencies.percentile(0.99),
            latency_max=latencies.max,
            cpu=cpu / max(1, accepted),
            errors=dict(errors),
        )


def split_load(options: LoadOptions) -> list[LoadShare]:
    """Divide the tasks evenly over the connections. Returns at most as many shares as tasks."""
    count = max(1, min(options.connections, options.tasks))
    tasks, remainder = divmod(options.tasks, count)
    rate = None if options.rate is None else options.rate / count
    return [
        LoadShare(tasks=tasks + (1 if index < remainder else 0), window=options.window, rate=rate)
        for index in range(count)
    ]


def describe(report: LoadReport) -> list[str]:
    """Return the measurements as lines of text."""
    percentiles = {
        "p50": report.latency_p50,
        "p95": report.latency_p95,
        "p99": report.latency_p99,
        "max": report.latency_max,
    }
    accepted = (
        f"{report.accepted:,} of {report.tasks:,} accepted in {report.seconds:.2f} s "
        f"({report.accepted_per_second:,.0f}/s) over {report.connections} connections, "
        f"up to {report.window:,} open on each"
    )
    times = ", ".join(f"{name} {formatting.precise_duration(value)}" for name, value in percentiles.items())
    lines = [accepted, f"submitted to accepted: {times}"]
    if report.errors:
        lines.append("errors: " + ", ".join(f"{count:,} {code}" for code, count in sorted(report.errors.items())))
    if report.stored is not None and report.stored_seconds is not None:
        rate = formatting.per_second(report.stored, report.stored_seconds)
        lines.append(f"{report.stored:,} stored in {report.stored_seconds:.2f} s ({rate}) end to end")
    lines.append(f"the generator used {report.cpu * 1e6:.1f} µs of processor time per task")
    return lines


def exit_code(report: LoadReport) -> int:
    """Return 0 when every task succeeded, 1 when tasks were refused, 75 when tasks have not ended."""
    if report.accepted < report.tasks:
        return 1
    return ResultNotReady.exit_code if report.stored is not None and report.stored < report.accepted else 0
