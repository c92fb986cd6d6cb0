"""The sub-commands that ask about tasks: `status`, `result`, `cancel`, `stats`."""

import sys
import time
from collections.abc import Sequence

from core.client import display
from core.client.client import Client
from core.client.output import json_text
from core.errors import RequestRefused
from core.logs import printable
from core.model import State

NOT_ENDED = 75


def show_status(client: Client, task_ids: Sequence[str], *, as_json: bool) -> int:
    """Say where tasks are; the exit code."""
    code = 0
    for task_id in task_ids:
        try:
            status = client.status(task_id)
        except RequestRefused as error:
            sys.stderr.write(f"{printable(str(error))}\n")
            code = 1
            continue
        if as_json:
            _write(json_text(status, sys.stdout))
        else:
            _write("\n".join(display.status_lines(status, time.time())))
    return code


def show_result(client: Client, task_id: str, wait: float, *, as_json: bool, traceback: bool) -> int:
    """Print what came of a task; the exit code."""
    outcome = client.outcome(task_id, wait)
    match outcome.state:
        case State.DONE:
            if isinstance(outcome.result, str) and not as_json:
                _write(_for_people(outcome.result))
            else:
                _write(json_text(outcome.result, sys.stdout))
            return 0
        case State.FAILED:
            sys.stderr.write(f"task {task_id} has failed: {display.failure_text(outcome.error)}\n")
            if traceback and outcome.error is not None:
                sys.stderr.write(f"{_for_people(outcome.error.traceback, always=True).rstrip()}\n")
            return 1
        case State.CANCELLED:
            sys.stderr.write(f"task {task_id} was cancelled\n")
            return 1
        case state:
            sys.stderr.write(f"task {task_id} is {state}: it has not ended\n")
            return NOT_ENDED


def cancel(client: Client, task_ids: Sequence[str]) -> int:
    """Take tasks back; the exit code."""
    code = 0
    for task_id in task_ids:
        try:
            client.cancel(task_id)
            _write(f"{task_id} cancelled")
        except RequestRefused as error:
            sys.stderr.write(f"{task_id}: {printable(str(error))}\n")
            code = 1
    return code


def show_statistics(client: Client, *, as_json: bool) -> int:
    """Say how everything is; the exit code."""
    statistics = client.stats()
    _write(json_text(statistics, sys.stdout) if as_json else "\n".join(display.statistics_lines(statistics)))
    return 0


def _for_people(text: str, *, always: bool = False) -> str:
    """A text of a stranger, as it is in a pipe; on a terminal, with nothing in it that the terminal would obey."""
    if not always and not sys.stdout.isatty():
        return text
    return "\n".join(printable(line.expandtabs(), display.UNCUT) for line in text.split("\n"))


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")
