"""The source of the real console: the system of one directory."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from core import config, encryption, running_system
from core.broker.factory import open_broker
from core.config import Settings
from core.errors import CauceError, ConfigurationError
from core.monitor.depth import DepthWatch
from core.repository.journal import Journal
from core.supervisor.home import Home
from core.supervisor.plan import LOCAL
from core.supervisor.status import SystemStatus
from core.timeline import TaskRecord, attempts_of
from tui.log_feed import LogBatch, LogFeed
from tui.options import HZ, READ_ONLY
from tui.poller import Poller
from tui.source import LogSource, SystemControl, TaskFeed, ViewPoller
from tui.system_control import LocalSystemControl
from tui.task_feed import JournalTaskFeed, News
from tui.view import View
from tui.view_builder import ViewBuilder


class LocalSource:
    """Reads and controls the system of the directory that the settings name.

    Args:
        settings: the settings of the console.
        environment: the environment that the processes started by the console inherit.
    """

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        self._settings = settings
        self._home = Home(settings[config.DIRECTORY])
        self._journal = Journal(settings[config.DATABASE], self._home.directory)
        self._control: SystemControl | None = None
        if not settings[READ_ONLY]:
            token = config.read_token(settings)
            tls = encryption.for_client(settings)
            self._control = LocalSystemControl(settings, environment, self._journal, self._home, token, tls=tls)

    def view_builder(self, broker_timeout: float = 0.0) -> ViewBuilder:
        """Make a builder of views, for one thread.

        Args:
            broker_timeout: seconds to wait for the first reply of the broker.
        """
        return ViewBuilder(self._journal, self._home, self._open_gauge, self._describe_broker(), broker_timeout)

    def poller(self, hand_over: Callable[[View], object]) -> ViewPoller:
        """Make a poller that hands over a view at every interval."""
        builder = self.view_builder()
        return Poller(builder.build, hand_over, 1.0 / self._settings[HZ], builder.close)

    def tasks(self, hand_over: Callable[[News], object], name: str) -> TaskFeed:
        """Make the feed of one table of tasks."""
        return JournalTaskFeed(partial(self._journal.open_archive, readonly=True), hand_over, f"tasks-{name}")

    def task(self, seq: int) -> TaskRecord | None:
        """Read everything about one task, over its own connection, so that it waits for no search and no feed."""
        with self._journal.open_archive(readonly=True) as archive:
            task = archive.task(seq)
            return None if task is None else TaskRecord(task, attempts_of(task, archive.former_attempts(seq)))

    def logs(self, hand_over: Callable[[LogBatch], object]) -> LogSource:
        """Make the feed of the logs."""
        return LogFeed(self._home, hand_over)

    @property
    def control(self) -> SystemControl | None:
        """The control of the system; None in a read-only console."""
        return self._control

    def _describe_broker(self) -> str:
        try:
            return open_broker(self._settings[config.BROKER], self._home.directory).description
        except ConfigurationError:
            if self._settings[config.BROKER] != LOCAL:
                raise  # a URL would show its password
            return LOCAL  # a private RabbitMQ node that was never started has no address yet

    def _open_gauge(self, report: SystemStatus | None) -> DepthWatch | None:
        """Return the watch on the depth of the queue, or None when the broker is not known or has no queue yet."""
        # The system may have been started after this console, on another broker.
        told = running_system.find(self._home.directory).settings.get(config.BROKER.key, LOCAL)
        for url in dict.fromkeys((self._settings[config.BROKER], told, LOCAL)):
            try:
                broker = open_broker(url, self._home.directory)
            except CauceError:
                continue
            if report is None or broker.description == report.broker:
                return DepthWatch(broker.gauge) if self._exists(url) else None
        return None

    def _exists(self, url: str) -> bool:
        """Return whether the queue exists: opening an embedded queue would create it."""
        if not url.startswith("embedded"):
            return True
        name = url.partition(":")[2] or str(Path(".cauce") / "queue.db")
        return (self._home.directory / name).exists()
