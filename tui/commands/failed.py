"""The commands of the tab of the failed tasks."""

from tui.commands.browser import browser_commands
from tui.commands.command import Command, Scope

FAILED = (
    Command(
        id="failed.detail",
        where=Scope.FAILED,
        key="enter",
        label="Details",
        help="Show all details of the task.",
        action="show_details",
        of_row=True,
    ),
    Command(
        id="failed.mark",
        where=Scope.FAILED,
        key="space",
        label="Mark",
        help="Mark the task, or unmark it.",
        action="mark",
        of_row=True,
        footer=True,
    ),
    Command(
        id="failed.mark_all",
        where=Scope.FAILED,
        key="a",
        label="Mark all",
        help="Mark all tasks that match the filter, or none.",
        action="mark_all",
    ),
    Command(
        id="failed.retry",
        where=Scope.FAILED,
        key="R",
        label="Retry",
        help="Retry the marked tasks, or the selected one.",
        action="bulk_action('retry')",
        of_row=True,
        changes_system=True,
        footer=True,
    ),
    Command(
        id="failed.discard",
        where=Scope.FAILED,
        key="D",
        label="Discard",
        help="Discard the marked tasks, or the selected one.",
        action="bulk_action('discard')",
        of_row=True,
        changes_system=True,
        footer=True,
    ),
    Command(
        id="failed.undo",
        where=Scope.FAILED,
        key="z",
        label="Undo",
        help="Undo the last retry or discard.",
        action="undo",
        changes_system=True,
        footer=True,
    ),
    *browser_commands(Scope.FAILED, "failed", footer=False),
)
