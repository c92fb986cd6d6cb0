"""The interface of the screen for the actions: it shows texts and dialogs, and gives the view and the control."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from textual.screen import Screen

from tui.dialogs.confirm import confirm
from tui.source import SystemControl
from tui.translations import Translations
from tui.view import View

R = TypeVar("R")


class ActionScreen(Protocol):
    """The screen that holds actions."""

    @property
    def tr(self) -> Translations:
        """The translations of the texts of the console."""

    @property
    def view(self) -> View:
        """The last view of the system."""

    def require_control(self) -> SystemControl | None:
        """Return the control of the system. A read-only console has none: notify the user and return None."""

    def show_notification(self, text: str, *, trouble: bool = False) -> None:
        """Show a notification, as an error when it is trouble."""

    def show_dialog(self, dialog: Screen[R], on_result: Callable[[R | None], None]) -> None:
        """Show a dialog, and pass its result to `on_result`."""


def confirm_first(screen: ActionScreen, question: str, yes: str, action: Callable[[], None], *, more: str = "") -> None:
    """Ask the user, and act only when the answer is yes."""

    def on_answer(answer: str | None) -> None:
        if answer == "yes":
            action()

    screen.show_dialog(confirm(screen.tr, question, yes, more=more), on_answer)
