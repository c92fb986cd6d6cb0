"""The screen: the one place that handles the messages of the tabs, and gives the tabs what they show."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import ClassVar, TypeVar

from msgspec.structs import replace
from textual import on
from textual.app import ComposeResult
from textual.containers import Container
from textual.screen import Screen
from textual.widgets import ContentSwitcher, Static

from core.callbacks import ignore
from core.errors import reason_of
from core.supervisor.status import Phase
from core.timeline import TaskRecord
from tui import commands, core_texts, display_text, garbage_collection
from tui.dialogs.fields import FieldsDialog
from tui.dialogs.task_detail import TaskDetail
from tui.jobs import Jobs, ScreenCall
from tui.messages import (
    BulkActionRequested,
    BulkSubmitRequested,
    CopyRequested,
    DetailRequested,
    ExportRequested,
    FieldsRequested,
    LoadRequested,
    LogsRead,
    LogsRequested,
    NotificationRequested,
    OperationRequested,
    RowsRequested,
    ScaleRequested,
    SearchRequested,
    SubmitRequested,
    TasksRead,
    UndoRequested,
    ViewTaken,
)
from tui.process_actions import ProcessActions
from tui.source import LogSource, Source, SystemControl, TaskFeed
from tui.submission_events import SubmissionEvent
from tui.system_start import Start
from tui.tabs.base import Tab
from tui.task_actions import TaskActions
from tui.translations import Translations
from tui.view import EMPTY, StartView, View
from tui.widgets.bars import Header, KeyBar, LedgerLine, TabBar
from tui.widgets.start_line import StartLine

COLLECT_DELAY = 0.1
"""Seconds from the closing of a dialog to the garbage collection: the screen has been drawn by then."""

NOTIFICATION_SECONDS, TROUBLE_SECONDS = 4, 8
"""Seconds for which a notification is shown; longer when it reports trouble."""

_log = logging.getLogger("cauce.tui")
TabFactory = Callable[[Translations], Tab]
R = TypeVar("R")


class MainScreen(Screen[None]):
    """The main screen: header, ledger, tabs and keys.

    Args:
        source: reads and controls the system.
        tr: translates the texts of the console.
        tabs: the label and the factory of each tab, by its id.
        first: the id of the tab to open.
        clock: gives the time, in seconds since the epoch.
        start: starts the system as soon as the console is open; None starts nothing.
    """

    BINDINGS: ClassVar = commands.bindings(commands.GLOBAL)
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (60, "-narrow"), (100, "-wide")]  # noqa: RUF012 - as Textual declares it
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (16, "-short"), (32, "-tall")]  # noqa: RUF012 - as Textual declares it

    def __init__(
        self,
        source: Source,
        tr: Translations,
        tabs: Mapping[str, tuple[str, TabFactory]],
        first: str,
        clock: Callable[[], float] = time.time,
        start: Start | None = None,
    ) -> None:
        super().__init__()
        self.tr = tr
        self.view = EMPTY
        self._source = source
        self._factories = tabs
        self._tabs: dict[str, Tab] = {}
        # The remembered tab may be of another version.
        self._opened = first if first in tabs else next(iter(tabs))
        self._feeds: dict[str, TaskFeed] = {}
        self._logs: LogSource | None = None
        self._poller = source.poller(lambda view: self.post_message(ViewTaken(view)))
        self._jobs = Jobs(tr, self.post_message, self.show_notification, self._poller.look_now, self._show_progress)
        self._task_actions = TaskActions(self, self._jobs, clock, self.show_submission, self._search_failed_again)
        self._process_actions = ProcessActions(self, self._jobs, self.show_start, lambda: self.app.exit())
        self._start = start
        self._frozen = False
        self._covered = False
        self.header = Header(tr, id="header")
        self.header.read_only = self.read_only
        self.ledger = LedgerLine(tr, id="ledger")
        self._detail = TaskDetail(tr, self._task_actions.ask_to_cancel)
        self._reads_begun = self._reads_open = self._last_read = 0
        self.start_line = StartLine(tr, read_only=self.read_only, id="start")
        self.bar = TabBar([(name, label) for name, (label, _) in tabs.items()], id="tabs")

    def compose(self) -> ComposeResult:
        """Compose the lines around the tabs, and the container of the tabs."""
        yield Static(
            self.tr("The window is too small: Cauce needs 60 columns and 16 lines."), id="too-small", markup=False
        )
        with Container(id="everything"):
            yield self.header
            yield self.ledger
            yield self.bar
            yield self.start_line
            yield ContentSwitcher(id="tab")
            yield KeyBar(self.tr, id="keys")

    async def on_mount(self) -> None:
        """Open the first tab and start the poller."""
        await self._open(self._opened)
        self._poller.start()
        if self._start is not None:
            self._process_actions.run_start(self._start)

    def on_unmount(self) -> None:
        """Stop all threads and close the control."""
        self._jobs.cancel_all()
        self._poller.stop()
        for feed in self._feeds.values():
            feed.stop()
        if self._logs is not None:
            self._logs.stop()
        if self._source.control is not None:
            self._source.control.close()

    # What is shown.

    @property
    def tab(self) -> Tab:
        """The tab that is open."""
        return self._tabs[self._opened]

    @property
    def tab_name(self) -> str:
        """The id of the tab that is open."""
        return self._opened

    @property
    def _is_paused(self) -> bool:
        """Whether the tabs show nothing new, because they are frozen or covered by a dialog."""
        return self._frozen or self._covered

    @on(ViewTaken)
    def _show_view(self, event: ViewTaken) -> None:
        event.stop()
        self._poller.request_next()
        if self._frozen:
            return
        self.view = event.view
        report = event.view.report
        if self.start_line.start.trouble and report is not None and report.phase is Phase.RUNNING:
            self.start_line.show(StartView())
        if not self._covered:
            self._draw()
        else:
            self._follow_detail()

    @property
    def _view_in_context(self) -> View:
        """The last view, with what this console does to the system."""
        return replace(self.view, is_starting=True) if self._process_actions.is_starting else self.view

    def _draw(self) -> None:
        view = self._view_in_context
        # A system that is being started has no journal yet, which is no trouble.
        in_header = replace(view, snapshot=replace(view.snapshot, troubles=())) if view.is_starting else view
        self.header.show(in_header)
        self.ledger.show(view)
        self.bar.set_count("failed", self.tr.short(view.ledger.failed) if view.ledger.failed else "")
        self._call_tab(self.tab, lambda tab: tab.show(view))

    def on_screen_suspend(self) -> None:
        """Pause while a dialog covers the tabs: drawing them costs nearly as much as without the dialog."""
        self._covered = True
        self._update_following(self.tab)

    def on_screen_resume(self) -> None:
        """Show the current view after a dialog."""
        if self._covered:
            garbage_collection.drop_dialog_cache()
            self.set_timer(COLLECT_DELAY, garbage_collection.collect)
        self._covered = False
        if self._opened in self._tabs:
            self._update_following(self.tab)
            self._draw()

    @on(TasksRead)
    def _show_tasks(self, event: TasksRead) -> None:
        event.stop()
        for tab in self._tabs.values():
            if event.name in tab.feeds:
                self._call_tab(tab, lambda tab: tab.update_from(event.name, event.news))

    @on(LogsRead)
    def _show_logs(self, event: LogsRead) -> None:
        event.stop()
        for tab in self._tabs.values():
            if tab.reads_logs:
                self._call_tab(tab, lambda tab: tab.add_logs(event.news))

    def _call_tab(self, tab: Tab, call: Callable[[Tab], None]) -> None:
        """Call a tab. A fault in it is shown there and stops nothing else."""
        try:
            call(tab)
        except Exception as error:  # noqa: BLE001 - a fault in one tab must not end the others
            _log.exception("the tab %s is broken", tab.id)
            text = self.tr(
                "This tab has a fault: {error}. The log of the console has more.",
                error=f"{type(error).__name__}: {reason_of(error)}",
            )
            tab.show_fault(display_text.clean(text))

    async def _open(self, name: str) -> None:
        """Open a tab. It is made when it is first opened."""
        switcher = self.query_one(ContentSwitcher)
        if name not in self._tabs:
            tab = self._tabs[name] = self._factories[name][1](self.tr)
            tab.read_only = self.read_only
            await switcher.mount(tab)
            if not tab.is_attached:
                # The console is being left already.
                return
        switcher.current = self._opened = name
        self.bar.show(name)
        tab = self._tabs[name]
        self._update_following(tab)
        self._call_tab(tab, lambda tab: tab.show(self._view_in_context))
        if tab.first_focus is not None:
            tab.first_focus.focus()
        self.refresh_bindings()

    def _update_following(self, active: Tab) -> None:
        """Let the feeds of the open tab follow, and pause the others."""
        for name, feed in self._feeds.items():
            feed.follow(name in active.feeds and not self._is_paused)
        if self._logs is not None:
            self._logs.follow(active.reads_logs and not self._is_paused)

    # What tabs ask the screen to read.

    def _feed(self, name: str) -> TaskFeed:
        feed = self._feeds.get(name)
        if feed is None:
            feed = self._source.tasks(lambda news: self.post_message(TasksRead(name, news)), name)
            self._feeds[name] = feed
            feed.start()
            feed.follow(name in self.tab.feeds and not self._is_paused)
        return feed

    @on(SearchRequested)
    def _search(self, event: SearchRequested) -> None:
        event.stop()
        number = self._feed(event.feed).search_for(event.search, event.order)
        for tab in self._tabs.values():
            if event.feed in tab.feeds:
                tab.expect_search(event.feed, number)

    @on(RowsRequested)
    def _read_rows(self, event: RowsRequested) -> None:
        event.stop()
        if event.ids:
            self._feed(event.feed).read_rows_by_id(event.ids)
        else:
            self._feed(event.feed).read_rows(event.seqs)

    @on(DetailRequested)
    def _read_detail(self, event: DetailRequested) -> None:
        event.stop()
        self._read_task(event.seq, self._show_detail, lambda reason: self.show_notification(reason, trouble=True))

    def _read_task(
        self, seq: int, on_read: Callable[[TaskRecord | None], None], on_failed: Callable[[str], None]
    ) -> None:
        """Read a task. A task that was read later than another one, but began earlier, is dropped."""
        self._reads_begun += 1
        self._reads_open += 1
        number = self._reads_begun

        def done(record: TaskRecord | None) -> None:
            self._reads_open -= 1
            if number > self._last_read:
                self._last_read = number
                on_read(record)

        def failed(reason: str) -> None:
            self._reads_open -= 1
            on_failed(reason)

        self._jobs.start("detail", lambda: self._source.task(seq), done, failed, refresh=False)

    def _show_detail(self, record: TaskRecord | None) -> None:
        if record is None:
            self.show_notification(self.tr("This task is not in the journal."), trouble=True)
        else:
            self._detail.show(record, self.view)
            if not self.app.is_screen_installed(TaskDetail.NAME):
                self.app.install_screen(self._detail, TaskDetail.NAME)
            if not self._shows_detail:
                self.app.push_screen(TaskDetail.NAME)

    @property
    def _shows_detail(self) -> bool:
        return self._detail in self.app.screen_stack

    def _follow_detail(self) -> None:
        """Keep the sheet of a task up to date while it is open."""
        seq = self._detail.seq
        if seq is None or not self._shows_detail:
            return
        self._detail.update_view(self.view)

        def on_read(record: TaskRecord | None) -> None:
            if record is not None and record.task.seq == self._detail.seq and self._shows_detail:
                self._detail.update_task(record)

        if not self._reads_open:
            # The header reports a journal that can't be read.
            self._read_task(seq, on_read, ignore)

    @on(LogsRequested)
    def _read_logs(self, event: LogsRequested) -> None:
        event.stop()
        if self._logs is None:
            self._logs = self._source.logs(lambda news: self.post_message(LogsRead(news)))
            self._logs.start()
            self._logs.follow(self.tab.reads_logs and not self._is_paused)
        number = self._logs.choose(event.names)
        for tab in self._tabs.values():
            if tab.reads_logs:
                tab.expect_logs(number)

    # What the actions need.

    @property
    def read_only(self) -> bool:
        """Whether this console changes nothing."""
        return self._source.control is None

    @property
    def is_busy(self) -> bool:
        """Whether a long job is running."""
        return self._jobs.is_busy

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """In a read-only console, disable the commands that change the system."""
        return commands.is_allowed(action, read_only=self.read_only)

    def require_control(self) -> SystemControl | None:
        """Return the control of the system. A read-only console has none: notify the user and return None."""
        if self._source.control is None:
            self.show_notification(self.tr("This console is read-only (--read-only)."), trouble=True)
        return self._source.control

    def show_dialog(self, dialog: Screen[R], on_result: Callable[[R | None], None]) -> None:
        """Show a dialog, and pass its result to `on_result`."""
        self.app.push_screen(dialog, on_result)

    def show_notification(self, text: str, *, trouble: bool = False) -> None:
        """Show a notification, as an error when it is trouble."""
        self.notify(
            display_text.clean(core_texts.translate(text, self.tr), 600),
            severity="error" if trouble else "information",
            timeout=TROUBLE_SECONDS if trouble else NOTIFICATION_SECONDS,
            markup=False,
        )

    def show_start(self, start: StartView) -> None:
        """Show the progress of a start of the system."""
        self.start_line.show(start)
        self._poller.look_now()

    def show_submission(self, event: SubmissionEvent) -> None:
        """Show the progress or the end of a submission."""
        for tab in self._tabs.values():
            self._call_tab(tab, lambda tab: tab.show_submission(event))

    def _show_progress(self, text: str) -> None:
        self.header.note = text
        self.header.refresh()

    def _search_failed_again(self) -> None:
        for tab in self._tabs.values():
            tab.reload_failed()

    @on(ScreenCall)
    def _make_call(self, event: ScreenCall) -> None:
        event.stop()
        event.call()

    # What tabs ask the screen to do.

    @on(SubmitRequested)
    def _submit(self, event: SubmitRequested) -> None:
        event.stop()
        self._task_actions.submit(event.task)

    @on(BulkSubmitRequested)
    def _submit_many(self, event: BulkSubmitRequested) -> None:
        event.stop()
        if event.text is None:
            self._task_actions.submit_file(event.task, as_text=event.as_text)
        else:
            self._task_actions.submit_text(event.task, event.text, as_text=event.as_text)

    @on(LoadRequested)
    def _load(self, event: LoadRequested) -> None:
        event.stop()
        self._task_actions.ask_for_load(event.task)

    @on(FieldsRequested)
    def _fill_fields(self, event: FieldsRequested) -> None:
        event.stop()
        self.show_dialog(FieldsDialog(self.tr, event.kind, event.fields, event.payload), event.done)

    @on(BulkActionRequested)
    def _retry_or_discard(self, event: BulkActionRequested) -> None:
        event.stop()
        self._task_actions.ask_for_bulk_action(event.action, event.seqs, event.scope)

    @on(UndoRequested)
    def _undo(self, event: UndoRequested) -> None:
        event.stop()
        self._task_actions.undo()

    @on(ExportRequested)
    def _export(self, event: ExportRequested) -> None:
        event.stop()
        self._task_actions.ask_for_export(event.search, event.order)

    @on(OperationRequested)
    def _operate(self, event: OperationRequested) -> None:
        event.stop()
        self._process_actions.operate(event.operation, event.names)

    @on(ScaleRequested)
    def _scale(self, event: ScaleRequested) -> None:
        event.stop()
        self._process_actions.scale(event.servers, event.workers)

    @on(NotificationRequested)
    def _notify_user(self, event: NotificationRequested) -> None:
        event.stop()
        self.show_notification(event.text, trouble=event.trouble)

    @on(CopyRequested)
    def _copy(self, event: CopyRequested) -> None:
        event.stop()
        self.app.copy_to_clipboard(event.text)
        self.show_notification(self.tr("Copied {what}, if the terminal allows it.", what=event.what))

    # The global commands.

    @on(TabBar.TabSelected)
    async def _tab_chosen(self, event: TabBar.TabSelected) -> None:
        event.stop()
        await self._open(event.tab)

    async def action_show_tab(self, name: str) -> None:
        """Open a tab."""
        await self._open(name)

    def action_freeze(self) -> None:
        """Freeze or resume the display."""
        self._frozen = self.header.frozen = not self._frozen
        self.header.refresh()
        self._update_following(self.tab)
        self._poller.look_now()

    def action_cancel(self) -> None:
        """Cancel the long job that was started last."""
        self._jobs.cancel_last()

    def action_system_up(self) -> None:
        """Start the system."""
        self._process_actions.start_system()

    def action_system_down(self) -> None:
        """Stop the system."""
        self._process_actions.stop_system()

    def action_leave(self) -> None:
        """Leave the console. Asks first whether to stop the system that runs here."""
        if self.view.report is None or self.read_only:
            self.app.exit()
        else:
            self._process_actions.ask_to_leave()
