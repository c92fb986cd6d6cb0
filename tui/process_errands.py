"""The errands about processes: they start, stop and scale; the whole system, and what becomes of it in the end."""

from collections.abc import Callable

from textual import on

from core.supervisor.status import SystemStatus
from tui.dialogs.confirm import ChoiceDialog
from tui.errands import Errands
from tui.messages import OperationRequested, ScaleRequested
from tui.source import SystemControl
from tui.system_start import Start
from tui.view import StartView

DOWN_WITHIN = 60.0
"""Seconds that a system has to end before what still runs is killed."""


class ProcessErrands(Errands):
    """Has things done about processes."""

    _starting = False
    """Whether a start that was asked for here is under way."""

    @on(OperationRequested)
    def _operate(self, event: OperationRequested) -> None:
        event.stop()
        control = self.acting()
        if control is None:
            return
        names = ", ".join(event.names)
        if event.what == "kill" or (event.what == "stop" and event.names == ("all",)):
            question = self.tr("Kill {names}?", names=names) if event.what == "kill" else self.tr("Stop everything?")
            self._ask_first(question, self.tr(event.what.capitalize()), lambda: self._operate_now(control, event))
        else:
            self._operate_now(control, event)

    def _operate_now(self, control: SystemControl, event: OperationRequested) -> None:
        told = {"start": "started", "stop": "stopped", "restart": "restarted", "kill": "killed"}[event.what]
        names = ", ".join(event.names)
        self.tell(self.tr("{what} {names} …", what=self.tr(event.what), names=names))
        self.work(
            event.what,
            lambda: control.operate(event.what, event.names),
            lambda _: self.tell(self.tr("{names} {told}", names=names, told=self.tr(told))),
        )

    @on(ScaleRequested)
    def _scale(self, event: ScaleRequested) -> None:
        event.stop()
        control = self.acting()
        if control is None:
            return
        told = self.tr("{count} servers", count=event.servers) if event.servers is not None else ""
        told = told or self.tr("{count} workers", count=event.workers)
        self.tell(f"→ {told} …")
        self.work("scale", lambda: control.scale(event.servers, event.workers), lambda _: self.tell(f"✓ {told}"))

    def action_system_up(self) -> None:
        """Start the system."""
        control = self.acting()
        if control is None:
            return
        if self.view.report is not None:
            self.tell(self.tr("The system runs already."))
            return
        self.have_started(control.up)

    def have_started(self, start: Start) -> None:
        """Have the system started, and show all the while how far that is."""
        if self._starting:
            self.tell(self.tr("The system is being started already."))
            return
        self._starting = True
        self.show_start(StartView(under_way=True))
        shown = StartView()

        def tell(report: SystemStatus) -> None:
            # It is told far more often than anything changes.
            nonlocal shown
            now = StartView(under_way=True, parts=report.processes)
            if now != shown:
                shown = now
                self.deliver(lambda: self._show_if_starting(now))

        def done(report: SystemStatus | None) -> None:
            if report is None:
                failed(self.tr("It has ended before it was ready."))
                return
            self._starting = False
            # That it is ready is to be seen; a word about it would only lie over what is done next.
            self.show_start(StartView())

        def failed(reason: str) -> None:
            self._starting = False
            self.show_start(StartView(trouble=reason))

        self.work("up", lambda: start(tell), done, failed)

    def _show_if_starting(self, start: StartView) -> None:
        if self._starting:
            self.show_start(start)

    def action_system_down(self) -> None:
        """Take the system down."""
        control = self.acting()
        if control is None:
            return
        count = len(self.view.report.processes) if self.view.report else 0
        question = self.tr("Stop the whole system ({count} processes)?", count=count)
        more = self.tr("Servers and workers finish what they hold; nothing that was accepted is lost.")
        self._ask_first(question, self.tr("Stop"), lambda: self._down(control), more=more)

    def _down(self, control: SystemControl, then: Callable[[], None] | None = None) -> None:
        def done(_: object) -> None:
            self.tell(self.tr("The system has ended."))
            if then is not None:
                then()

        self.tell(self.tr("Stopping the system …"))
        self.work("down", lambda: control.down(DOWN_WITHIN), done)

    def action_leave(self) -> None:
        """Leave the console; ask what becomes of the system that runs here."""
        control = self._source.control
        if self.view.report is None or control is None:
            self.app.exit()
            return

        def answered(answer: str | None) -> None:
            if answer == "leave":
                self.app.exit()
            elif answer == "stop":
                self._down(control, self.app.exit)

        answers = [
            ("", self.tr("Stay"), "-safe"),
            ("leave", self.tr("Leave it running"), "-plain"),
            ("stop", self.tr("Stop it, and leave"), "-danger"),
        ]
        count = len(self.view.report.processes)
        question = self.tr("Leave the console. What becomes of the system ({count} processes)?", count=count)
        self.app.push_screen(ChoiceDialog(self.tr, question, answers), answered)
