"""The errands about processes: they start, stop and scale; the whole system, and what becomes of it in the end."""

from collections.abc import Callable

from textual import on

from tui.dialogs.confirm import Choice
from tui.errands import Errands
from tui.messages import OperationWanted, ScaleWanted
from tui.source import Acts

DOWN_WITHIN = 60.0
"""Seconds that a system has to end before what still runs is killed."""


class ProcessErrands(Errands):
    """Has things done about processes."""

    @on(OperationWanted)
    def _operate(self, event: OperationWanted) -> None:
        event.stop()
        acts = self.acting()
        if acts is None:
            return
        names = ", ".join(event.names)
        if event.what == "kill" or (event.what == "stop" and event.names == ("all",)):
            question = (
                self.words("Kill {names}?", names=names) if event.what == "kill" else self.words("Stop everything?")
            )
            self._ask_first(question, self.words(event.what.capitalize()), lambda: self._operate_now(acts, event))
        else:
            self._operate_now(acts, event)

    def _operate_now(self, acts: Acts, event: OperationWanted) -> None:
        told = {"start": "started", "stop": "stopped", "restart": "restarted", "kill": "killed"}[event.what]
        names = ", ".join(event.names)
        self.tell(self.words("{what} {names} …", what=self.words(event.what), names=names))
        self.work(
            event.what,
            lambda: acts.operate(event.what, event.names),
            lambda _: self.tell(self.words("{names} {told}", names=names, told=self.words(told))),
        )

    @on(ScaleWanted)
    def _scale(self, event: ScaleWanted) -> None:
        event.stop()
        acts = self.acting()
        if acts is None:
            return
        told = self.words("{count} servers", count=event.servers) if event.servers is not None else ""
        told = told or self.words("{count} workers", count=event.workers)
        self.tell(f"→ {told} …")
        self.work("scale", lambda: acts.scale(event.servers, event.workers), lambda _: self.tell(f"✓ {told}"))

    def action_system_up(self) -> None:
        """Start the system."""
        acts = self.acting()
        if acts is None:
            return
        if self.view.report is not None:
            self.tell(self.words("The system runs already."))
            return
        self.tell(self.words("Starting the system …"))
        self.work(
            "up",
            lambda: acts.up(lambda _: self.poke()),
            lambda _: self.tell(self.words("The system is ready.")),
        )

    def action_system_down(self) -> None:
        """Take the system down."""
        acts = self.acting()
        if acts is None:
            return
        count = len(self.view.report.processes) if self.view.report else 0
        question = self.words("Stop the whole system ({count} processes)?", count=count)
        more = self.words("Servers and workers finish what they hold; nothing that was accepted is lost.")
        self._ask_first(question, self.words("Stop"), lambda: self._down(acts), more=more)

    def _down(self, acts: Acts, then: Callable[[], None] | None = None) -> None:
        def done(_: object) -> None:
            self.tell(self.words("The system has ended."))
            if then is not None:
                then()

        self.tell(self.words("Stopping the system …"))
        self.work("down", lambda: acts.down(DOWN_WITHIN), done)

    def action_leave(self) -> None:
        """Leave the console; ask what becomes of the system that runs here."""
        acts = self._source.acts
        if self.view.report is None or acts is None:
            self.app.exit()
            return

        def answered(answer: str | None) -> None:
            if answer == "leave":
                self.app.exit()
            elif answer == "stop":
                self._down(acts, self.app.exit)

        answers = [
            ("", self.words("Stay"), "-safe"),
            ("leave", self.words("Leave it running"), "-plain"),
            ("stop", self.words("Stop it, and leave"), "-danger"),
        ]
        count = len(self.view.report.processes)
        question = self.words("Leave the console. What becomes of the system ({count} processes)?", count=count)
        self.app.push_screen(Choice(self.words, question, answers), answered)
