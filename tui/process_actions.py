"""The actions on processes: start, stop, restart, kill and scale them; start and stop the whole system.

Nothing here draws. Slow work is a job; what interrupts the system is confirmed first.
"""

from collections.abc import Callable, Sequence

from core.supervisor.status import SystemStatus
from tui.action_screen import ActionScreen, confirm_first
from tui.dialogs.confirm import ChoiceDialog
from tui.jobs import Jobs
from tui.source import SystemControl
from tui.system_control import Operation
from tui.system_start import Start
from tui.view import StartView


class ProcessActions:
    """Runs the actions on processes.

    Args:
        screen: the screen that holds these actions.
        jobs: the jobs of the screen.
        show_start: shows the progress of a start of the system.
        leave: ends the console.
    """

    def __init__(
        self, screen: ActionScreen, jobs: Jobs, show_start: Callable[[StartView], None], leave: Callable[[], None]
    ) -> None:
        self._screen = screen
        self._tr = screen.tr
        self._jobs = jobs
        self._show_start = show_start
        self._leave = leave
        self._is_starting = False

    @property
    def is_starting(self) -> bool:
        """Whether a start that this console has begun is under way."""
        return self._is_starting

    def operate(self, operation: Operation, names: Sequence[str]) -> None:
        """Start, stop, restart or kill processes. A kill and a stop of all are confirmed first."""
        control = self._screen.require_control()
        if control is None:
            return
        joined = ", ".join(names)
        if operation == "kill" or (operation == "stop" and tuple(names) == ("all",)):
            question = self._tr("Kill {names}?", names=joined) if operation == "kill" else self._tr("Stop everything?")
            confirm_first(
                self._screen,
                question,
                self._tr(operation.capitalize()),
                lambda: self._operate(control, operation, names),
            )
        else:
            self._operate(control, operation, names)

    def _operate(self, control: SystemControl, operation: Operation, names: Sequence[str]) -> None:
        done = {"start": "started", "stop": "stopped", "restart": "restarted", "kill": "killed"}[operation]
        joined = ", ".join(names)
        self._screen.show_notification(self._tr("{what} {names} …", what=self._tr(operation), names=joined))
        self._jobs.start(
            operation,
            lambda: control.operate(operation, names),
            lambda _: self._screen.show_notification(self._tr("{names} {told}", names=joined, told=self._tr(done))),
        )

    def scale(self, servers: int | None, workers: int | None) -> None:
        """Run this number of servers, or of workers."""
        control = self._screen.require_control()
        if control is None:
            return
        target = self._tr("{count} servers", count=servers) if servers is not None else ""
        target = target or self._tr("{count} workers", count=workers)
        self._screen.show_notification(f"→ {target} …")
        self._jobs.start(
            "scale",
            lambda: control.scale(servers, workers),
            lambda _: self._screen.show_notification(f"✓ {target}"),
        )

    # The whole system.

    def start_system(self) -> None:
        """Start the system, unless it is running."""
        control = self._screen.require_control()
        if control is None:
            return
        if self._screen.view.report is not None:
            self._screen.show_notification(self._tr("The system is running already."))
            return
        self.run_start(control.up)

    def run_start(self, start: Start) -> None:
        """Start the system with `start`, and show the progress until it is ready."""
        if self._is_starting:
            self._screen.show_notification(self._tr("The system is being started already."))
            return
        self._is_starting = True
        self._show_start(StartView(under_way=True))
        shown = StartView()

        def on_progress(report: SystemStatus) -> None:
            # The supervisor reports far more often than anything changes.
            nonlocal shown
            now = StartView(under_way=True, parts=report.processes)
            if now != shown:
                shown = now
                self._jobs.call_in_screen(lambda: self._show_if_starting(now))

        def on_done(_: SystemStatus) -> None:
            self._is_starting = False
            # The header shows that the system is ready; a notification would only cover a part of the screen.
            self._show_start(StartView())

        def on_failed(reason: str) -> None:
            self._is_starting = False
            self._show_start(StartView(trouble=reason))

        self._jobs.start("up", lambda: start(on_progress), on_done, on_failed)

    def _show_if_starting(self, start: StartView) -> None:
        if self._is_starting:
            self._show_start(start)

    def stop_system(self) -> None:
        """Stop the whole system, when the user confirms it."""
        control = self._screen.require_control()
        if control is None:
            return
        report = self._screen.view.report
        question = self._tr("Stop the whole system ({count} processes)?", count=len(report.processes) if report else 0)
        more = self._tr("Servers and workers finish their tasks in flight; no accepted task is lost.")
        confirm_first(self._screen, question, self._tr("Stop"), lambda: self._stop(control), more=more)

    def _stop(self, control: SystemControl, on_stopped: Callable[[], None] | None = None) -> None:
        def on_done(_: object) -> None:
            self._screen.show_notification(self._tr("The system has ended."))
            if on_stopped is not None:
                on_stopped()

        self._screen.show_notification(self._tr("Stopping the system …"))
        self._jobs.start("down", lambda: control.down(), on_done)

    def ask_to_leave(self) -> None:
        """Ask whether to stop the running system too, and leave the console unless the user stays."""
        control, report = self._screen.require_control(), self._screen.view.report
        if control is None or report is None:
            return

        def on_answer(answer: str | None) -> None:
            if answer == "leave":
                self._leave()
            elif answer == "stop":
                self._stop(control, self._leave)

        answers = [
            ("", self._tr("Stay"), "-safe"),
            ("leave", self._tr("Leave it running"), "-plain"),
            ("stop", self._tr("Stop it and leave"), "-danger"),
        ]
        question = self._tr("Leave the console. Stop the system too ({count} processes)?", count=len(report.processes))
        self._screen.show_dialog(ChoiceDialog(self._tr, question, answers), on_answer)
