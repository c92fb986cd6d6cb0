"""The commands of the tab of workers and results."""

from tui.commands.browser import browser_commands
from tui.commands.command import Command, Scope

WORKERS = (
    Command(
        id="workers.results",
        where=Scope.WORKERS,
        key="enter",
        label="Results",
        help="Show the results of this worker, the slowest first.",
        action="show_results",
        of_row=True,
        footer=True,
    ),
    Command(
        id="workers.everything",
        where=Scope.WORKERS,
        key="escape",
        label="All results",
        help="Show the results of all workers again.",
        action="show_all_results",
    ),
)


MONITOR = (
    Command(
        id="monitor.ended",
        where=Scope.MONITOR,
        key="d",
        label="Ended",
        help="Show or hide the workers that have ended.",
        action="toggle_ended",
    ),
)

RESULTS = (
    Command(
        id="results.detail",
        where=Scope.RESULTS,
        key="enter",
        label="Details",
        help="Show all details of the task.",
        action="show_details",
        of_row=True,
        footer=True,
    ),
    *browser_commands(Scope.RESULTS, "results", footer=True),
)
