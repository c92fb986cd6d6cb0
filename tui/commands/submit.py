"""The commands of the tab that submits tasks."""

from tui.commands.command import Command, Scope

SUBMIT = (
    Command(
        id="submit.send",
        where=Scope.SUBMIT,
        key="ctrl+s,f9",
        label="Submit",
        help="Submit the task.",
        action="submit",
        changes_system=True,
        footer=True,
        line="python -m core.client submit",
    ),
    Command(
        id="submit.lines",
        where=Scope.SUBMIT,
        key="ctrl+l",
        label="Each line",
        help="Submit each line of the payload as a task.",
        action="submit_lines",
        changes_system=True,
        footer=True,
    ),
    Command(
        id="submit.file",
        where=Scope.SUBMIT,
        key="ctrl+o",
        label="From file",
        help="Submit each line of a file as a task.",
        action="submit_file",
        changes_system=True,
        footer=True,
    ),
    Command(
        id="submit.load",
        where=Scope.SUBMIT,
        key="ctrl+g",
        label="Load",
        help="Submit many tasks at a steady rate, and measure.",
        action="load",
        changes_system=True,
        footer=True,
    ),
    Command(
        id="submit.fields",
        where=Scope.SUBMIT,
        key="f10",
        label="Fields",
        help="Fill in the payload of a kind that tells what it takes, field by field.",
        action="fields",
        changes_system=True,
        line="python -m core.client describe KIND",
    ),
    Command(
        id="submit.editor",
        where=Scope.SUBMIT,
        key="ctrl+n",
        label="Editor",
        help="Edit the payload in your own editor ($EDITOR).",
        action="edit",
        changes_system=True,
    ),
    Command(
        id="submit.leave",
        where=Scope.SUBMIT,
        key="escape",
        label="To the list",
        help=(
            "Go to the list of submitted tasks, where single keys work: "
            "{key:app.submit} to {key:app.diagram} change the tab."
        ),
        action="leave_form",
        footer=True,
    ),
    Command(
        id="submit.again",
        where=Scope.SUBMIT,
        key="ctrl+r",
        label="Reuse",
        help="Edit an earlier submission and submit it again.",
        action="reuse",
        changes_system=True,
    ),
)

HISTORY = (
    Command(
        id="history.detail",
        where=Scope.HISTORY,
        key="enter",
        label="Details",
        help="Show all details of the submitted task.",
        action="show_details",
        of_row=True,
        footer=True,
    ),
)
