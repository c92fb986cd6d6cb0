"""Formats the client's values as lines of text. Pure: the time is an argument.

Untrusted text is made printable.
"""

import json
from collections.abc import Iterator, Sequence

import msgspec

from core import formatting
from core.client.values import Statistics, TaskKind, TaskOutcome, TaskStatus
from core.formatting import per_second, precise_duration, timestamp
from core.jsontext import Json
from core.logs import printable
from core.model import Attempt, AttemptState, Failure, RunningOn, State, TaskProgress, TaskStack, Times
from core.timeline import timeline

_NO_WORKER = "  (no worker runs it now)"

UNLIMITED = 2**40
"""For `printable`: no limit on the length."""


def value_text(value: Json) -> str:
    """Return a JSON value in one printable line."""
    return printable(msgspec.json.encode(value).decode(), UNLIMITED)


def failure_text(failure: Failure | None) -> str:
    """Return a failure in one printable line."""
    return "no reason is known" if failure is None else printable(f"{failure.type}: {failure.message}", UNLIMITED)


def outcome_text(outcome: TaskOutcome) -> str:
    """Return the result or failure of a task in one line, or an empty string when there is neither."""
    if outcome.state is State.DONE:
        return value_text(outcome.result)
    return failure_text(outcome.error) if outcome.state is State.FAILED else ""


def status_lines(status: TaskStatus, now: float) -> list[str]:
    """Return the lines that describe a task: a sentence on its state, its timeline, and the other facts."""
    lines = [f"{status.id} ({printable(status.kind)}) {_state_text(status, now)}"]
    lines += timeline_lines(status.times, status.history)
    lines += [f"  {name:<12}  {text}" for name, text in _facts(status)]
    if status.running is not None and status.running.stack is not None:
        lines += stack_lines(status.running.stack)
    if len(status.history) > 1 or status.times.finished is None:
        lines += [f"  attempt {attempt.number:<4}  {_attempt_text(attempt)}" for attempt in status.history]
    return lines


def _facts(status: TaskStatus) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of what is known of a task besides its state and times."""
    said = status.running or (status.history[-1] if status.history else None)
    if status.attempts:
        yield "attempts", str(status.attempts)
    if status.worker:
        yield "worker", _place(status.worker, said.runner if said else 0)
    if said is not None and said.progress is not None:
        yield "progress", progress_text(said.progress)
    if status.state is State.DONE:
        yield "result", value_text(status.result)
    elif status.error is not None:
        yield "error", failure_text(status.error)
    for note in said.notes if said is not None else ():
        yield "note", f"{timestamp(note.at)}  {printable(note.text)}"


def running_line(task_id: str, running: RunningOn, now: float) -> str:
    """Return one printable line about a task that runs: how far it is, or else what it has noted last."""
    line = f"{task_id} runs on {printable(running.worker)} for {precise_duration(max(0.0, now - running.since))}"
    if running.progress is not None:
        return f"{line}: {progress_text(running.progress)}"
    return f"{line}: {printable(running.notes[-1].text)}" if running.notes else line


def progress_text(progress: TaskProgress) -> str:
    """Return how far a task is in one printable line: `3/10 (30%) resizing`."""
    return f"{formatting.progress(progress.done, progress.total)} {printable(progress.text)}".rstrip()


def _attempt_text(attempt: Attempt) -> str:
    """Return where an attempt ran, since when and for how long, and how it ended."""
    parts = [f"{attempt.state} on {_place(attempt.worker or 'a worker that is not known', attempt.runner)}"]
    if attempt.started is not None:
        parts.append(f"began {timestamp(attempt.started)}")
        if attempt.finished is not None and attempt.state is not AttemptState.LOST:
            parts.append(f"ran {precise_duration(attempt.finished - attempt.started)}")
    if attempt.progress is not None:
        parts.append(f"was at {progress_text(attempt.progress)}")
    if attempt.error is not None:
        parts.append(failure_text(attempt.error))
    elif attempt.state is AttemptState.LOST:
        parts.append("the worker died, or lost its connection")
    return "; ".join(parts)


def stack_lines(stack: TaskStack) -> list[str]:
    """Return the lines that show where the code of a task is."""
    return [f"  {'stack':<12}  {timestamp(stack.at)}", *(f"  {printable(line)}" for line in stack.text.splitlines())]


def _place(worker: str, runner: int) -> str:
    """Return where an attempt runs or ran: `w1, runner 2`."""
    return f"{printable(worker)}, runner {runner}" if runner else printable(worker)


def _state_text(status: TaskStatus, now: float) -> str:
    match status.state:
        case State.DONE:
            return "is done"
        case State.CANCELLED:
            return f"was cancelled {f'after {_attempts(status.attempts)}' if status.attempts else 'before it ran'}"
        case State.FAILED:
            return f"has failed after {_attempts(status.attempts)}"
        case State.RUNNING | State.CANCELLING:
            return _running_text(status, now)
        case State.RETRYING:
            return f"failed in {_attempts(status.attempts)} and will be tried again{_note(status)}"
        case State.QUEUED:
            return f"is in the queue{_note(status)}"
        case state:
            return f"is {state}{_note(status)}"


def _running_text(status: TaskStatus, now: float) -> str:
    cancelling = "was cancelled while it ran, and " if status.state is State.CANCELLING else ""
    if status.running is None:
        return f"{cancelling}is not known to have stopped" if cancelling else "is running"
    since = precise_duration(max(0.0, now - status.running.since))
    again = f" in attempt {status.attempts + 1}" if status.attempts else ""
    return f"{cancelling}has been running on {printable(status.running.worker)} for {since}{again}"


def _note(status: TaskStatus) -> str:
    return f": {printable(status.note)}" if status.note else ""


def _attempts(count: int) -> str:
    return "1 attempt" if count == 1 else f"{count} attempts"


def timeline_lines(times: Times, attempts: Sequence[Attempt] = ()) -> list[str]:
    """Return a line for each step of a task: its time, and the time since the step before."""
    lines = []
    previous: float | None = None
    for step in timeline(times, attempts):
        took = "" if previous is None else f"  +{precise_duration(step.at - previous)}"
        name, note = step.name, ""
        if step.attempt is not None:
            name, note = f"attempt {step.attempt.number}", f"  {step.attempt.state}"
        elif step.by:
            note = f"  by {printable(step.by)}"
        lines.append(f"  {name:<12}  {timestamp(step.at)}{took}{note}")
        previous = step.at
    return lines


def statistics_lines(statistics: Statistics) -> list[str]:
    """Return the lines for the ledger, the state of broker and journal, and the processes."""
    ledger = dict(statistics.ledger)
    accepted = ledger.pop("accepted", sum(ledger.values()))
    lines = [
        f"accepted {accepted:,} = " + " + ".join(f"{count:,} {printable(name)}" for name, count in ledger.items()),
        f"broker: {printable(statistics.broker)}; journal: {printable(statistics.journal)}",
    ]
    for kind, processes in (("server", statistics.servers), ("worker", statistics.workers)):
        for process in processes:
            lines.append(
                f"{kind} {printable(process.name)}  {printable(process.status)}  "
                f"{printable(process.address or process.host)}  pid {process.pid}  "
                + (
                    f"{process.counters.accepted:,} accepted"
                    if kind == "server"
                    else f"{process.counters.done:,} done, {process.counters.failed:,} failed, "
                    f"{process.in_hand}/{process.threads} running"
                )
            )
    if not statistics.workers:
        lines.append("no worker is running: tasks wait until one is started")
    return lines


def kind_line(kind: TaskKind) -> str:
    """Return the line of a kind in a list."""
    return f"{printable(kind.kind)}  {printable(kind.description)}".rstrip() + ("" if kind.workers else _NO_WORKER)


def kind_lines(kind: TaskKind) -> list[str]:
    """Return the lines about a kind: what it does, how it runs, and the schema of its payloads."""
    lines = [kind_line(kind)]
    if kind.timeout is not None:
        lines.append(f"time-out: {kind.timeout:g} seconds" if kind.timeout else "no time-out")
    if kind.retries is not None:
        lines.append(f"retries: {kind.retries}")
    if kind.schema is None:
        return [*lines, "payload: any JSON value"]
    return [*lines, "payload:", *map(printable, json.dumps(kind.schema, indent=2, ensure_ascii=False).split("\n"))]


def summary(accepted: int, refused: int, seconds: float, ended: Sequence[tuple[str, int]]) -> str:
    """Return the last line of a submission."""
    parts = [f"{accepted:,} accepted in {seconds:.1f} s ({per_second(accepted, seconds)})"]
    if refused:
        parts.append(f"{refused:,} refused")
    parts += [f"{count:,} {name}" for name, count in ended]
    return ", ".join(parts)
