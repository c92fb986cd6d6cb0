"""The commands of the tables of tasks."""

from tui.commands.command import Command, Scope


def browser_commands(where: Scope, prefix: str, *, footer: bool) -> tuple[Command, ...]:
    """Return the commands that every table of tasks has."""
    return (
        Command(
            id=f"{prefix}.filter",
            where=where,
            key="slash",
            label="Filter",
            help="Find tasks: words, kind:echo, worker:w1, took>500ms, since:10m …",
            action="filter",
            footer=True,
        ),
        Command(
            id=f"{prefix}.sort",
            where=where,
            key="o",
            label="Sort",
            help="Sort by the next column; a click on a heading does too.",
            action="sort",
            footer=footer,
        ),
        Command(
            id=f"{prefix}.turn", where=where, key="O", label="Reverse", help="Reverse the order.", action="reverse"
        ),
        Command(
            id=f"{prefix}.clear",
            where=where,
            key="escape",
            label="Show all",
            help="Clear the filter and show the newest tasks first.",
            action="clear",
        ),
        Command(
            id=f"{prefix}.export",
            where=where,
            key="E",
            label="Export",
            help="Export the tasks that match the filter to a file.",
            action="export",
            changes_system=True,
            footer=footer,
        ),
        Command(
            id=f"{prefix}.copy",
            where=where,
            key="y",
            label="Copy id",
            help="Copy the id of the task.",
            action="copy",
            of_row=True,
        ),
    )
