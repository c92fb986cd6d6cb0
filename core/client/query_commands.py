"""The sub-commands that concern existing tasks: `status`, `result`, `cancel`, `stats`, `describe`."""

import sys
import time
from collections.abc import Sequence

from core.client import display
from core.client.client import Client
from core.client.output import json_text
from core.client.watching import TaskWatch
from core.errors import RequestRefused, ResultNotReady
from core.logs import printable
from core.model import State


def show_status(client: Client, task_ids: Sequence[str], *, as_json: bool) -> int:
    """Print where tasks are. Returns the exit code."""
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
    """Print the result of a task. Returns the exit code."""
    outcome = TaskWatch(client, task_id, sys.stderr).wait(wait)
    match outcome.state:
        case State.DONE:
            if isinstance(outcome.result, str) and not as_json:
                _write(_display_text(outcome.result))
            else:
                _write(json_text(outcome.result, sys.stdout))
            return 0
        case State.FAILED:
            sys.stderr.write(f"task {task_id} has failed: {display.failure_text(outcome.error)}\n")
            if traceback and outcome.error is not None:
                sys.stderr.write(f"{_display_text(outcome.error.traceback, escape=True).rstrip()}\n")
            return 1
        case State.CANCELLED:
            sys.stderr.write(f"task {task_id} was cancelled\n")
            return 1
        case state:
            sys.stderr.write(f"task {task_id} is {state}: it has not ended\n")
            return ResultNotReady.exit_code


def show_stack(client: Client, task_id: str) -> int:
    """Print where the code of a running task is. Returns the exit code."""
    running = client.status(task_id).running
    if running is None:
        sys.stderr.write(f"task {task_id} does not run\n")
        return 1
    if running.stack is None:
        sys.stderr.write(
            f"the stack of task {task_id} is not known: a task tells it when it has run for ten seconds, and not while "
            "it keeps Python to itself\n"
        )
        return 1
    _write("\n".join(display.stack_lines(running.stack)))
    return 0


def cancel(client: Client, task_ids: Sequence[str]) -> int:
    """Cancel tasks. Returns the exit code."""
    code = 0
    for task_id in task_ids:
        try:
            state = client.cancel(task_id)
            _write(f"{task_id} {state}" + (": it runs and is asked to stop" if state is State.CANCELLING else ""))
        except RequestRefused as error:
            sys.stderr.write(f"{task_id}: {printable(str(error))}\n")
            code = 1
    return code


def show_statistics(client: Client, *, as_json: bool) -> int:
    """Print the statistics. Returns the exit code."""
    statistics = client.stats()
    _write(json_text(statistics, sys.stdout) if as_json else "\n".join(display.statistics_lines(statistics)))
    return 0


def describe(client: Client, kind: str | None, *, as_json: bool) -> int:
    """Print the kinds of task, or what one takes. Returns the exit code."""
    if kind is not None:
        found = client.describe(kind)
        _write(json_text(found, sys.stdout) if as_json else "\n".join(display.kind_lines(found)))
        return 0
    for each in client.kinds():
        _write(json_text(each, sys.stdout) if as_json else display.kind_line(each))
    return 0


def _display_text(text: str, *, escape: bool = False) -> str:
    """Return an untrusted text: unchanged for a pipe, with control characters escaped for a terminal."""
    if not escape and not sys.stdout.isatty():
        return text
    return "\n".join(printable(line.expandtabs(), display.UNLIMITED) for line in text.split("\n"))


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")
