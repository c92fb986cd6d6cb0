"""Watches a system as a console does, while it is attacked, and checks what would be shown.

The views and the list are built by the console's own code; what they must show is known from a bystander.
"""

import argparse
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from core import config
from core.repository.journal import Journal
from core.repository.search import NEWEST_FIRST, Search
from core.supervisor.home import Home
from tests.faults.bystander import Bystander, ended_tasks
from tests.faults.comparison import INTERVAL, MAX_VIEWS, Comparison
from tests.faults.values import Outcome
from tui.options import OPTIONS
from tui.services import LocalSource
from tui.task_feed import ListGrown, News, TasksListed
from tui.translations import Translations
from tui.view_builder import ViewBuilder
from tui.widgets.task_rows import TaskModel, result_columns

FEED = "results"
TIMEOUT = 60.0
"""Seconds for the last views."""


class ConsoleCheck:
    """Builds a view at every interval, in a thread, and compares it with what a bystander sees.

    Args:
        directory: the directory of the system.
    """

    def __init__(self, directory: Path) -> None:
        parser = argparse.ArgumentParser()
        config.add_arguments(parser, OPTIONS)
        settings = config.load(OPTIONS, parser.parse_args(["--dir", str(directory), "--read-only"]), {})
        self._source = LocalSource(settings, {})
        self._home = Home(directory)
        self._journal = directory / "resultados.db"
        self._bystander = Bystander(self._journal)
        self._comparison = Comparison()
        self._list = TaskModel(result_columns(Translations()), Translations())
        self._ending = threading.Event()
        self._pause = threading.Event()
        self._faults: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, name="console check")

    def added_to(self, outcome: Outcome) -> Outcome:
        """Return the outcome of a case, with what was shown wrongly."""
        views = self._comparison.views
        return msgspec.structs.replace(
            outcome,
            broken=(*outcome.broken, *self._comparison.findings),
            remarks=(*outcome.remarks, *([f"{views:,} views compared"] if views else [])),
        )

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch during the block. At its end the system must be at rest."""
        self._thread.start()
        try:
            yield
        finally:
            self._ending.set()
            self._thread.join(TIMEOUT)
        assert not self._thread.is_alive(), "the views do not end"
        assert self._comparison.views > 0
        for fault in self._faults:
            raise fault

    def open_anew(self, *, after_down: bool = False) -> None:
        """Check what a console shows first that is opened now."""
        before = Bystander(self._journal).look()
        with ViewBuilder(Journal(self._journal.name, self._home.directory), self._home, lambda _: None, "") as builder:
            view = builder.build(time.monotonic(), time.time())
        self._comparison.compare_first(before, view)
        if after_down:
            self._comparison.compare_after_down(view)

    def _run(self) -> None:
        feed = self._source.tasks(self._take_news, FEED)
        feed.start()
        feed.search_for(Search(), NEWEST_FIRST)
        feed.follow(True)
        try:
            with self._source.view_builder() as builder:
                while not self._ending.wait(INTERVAL):
                    self._look(builder)
                self._look_at_rest(builder)
        except Exception as fault:  # noqa: BLE001 - it is raised again where the case waits
            self._faults.append(fault)
        finally:
            feed.stop()

    def _look(self, builder: ViewBuilder) -> None:
        before = self._bystander.look()
        view = builder.build(time.monotonic(), time.time())
        self._comparison.compare(before, view, self._bystander.look())
        if self._comparison.views % MAX_VIEWS == 0:
            self.open_anew()

    def _look_at_rest(self, builder: ViewBuilder) -> None:
        """Compare the list with the ledger as soon as they agree, but only so many views after the end."""
        ended = ended_tasks(self._journal)
        for _ in range(MAX_VIEWS):
            if sorted(self._list.all_seqs) == sorted(ended):
                break
            self._pause.wait(INTERVAL)
        view = builder.build(time.monotonic(), time.time())
        self._comparison.compare_list(self._list.all_seqs, ended, view)

    def _take_news(self, news: News) -> None:
        match news:
            case TasksListed():
                self._list.replace_all(news.seqs, news.rows, is_reversed=True)
            case ListGrown():
                self._list.append(news.seqs, news.rows)
