"""Sentences that come from `core`, and from threads of the console, in the language of the user.

A catalogue translates each of `SENTENCES`. Other texts stay as they are: those of the operating system, of RabbitMQ
and NGINX, and of tasks.
"""

import functools
import re
from collections.abc import Mapping

from core.model import Part, Trouble
from tui.translations import ENGLISH, Translations

FAILURES = (
    "{workers} began the task died or lost its connection before it ended",
    "the task was delivered again and again but never ended: its workers died or lost their connection",
    "the task ran longer than its time-out allows",
    "the worker had to stop while the task ran; the task will run again",
    "no function is registered for the kind {kind}; {suggestion}",
    "the stored payload can't be read as JSON: {error}",
    "the result can't be stored as JSON: {error}{place}",
    "the result can't be read: {type} while writing it",
    "this worker has no directory of files for tasks: start it with --files-root",
)
"""The failures of tasks that Cauce itself words. All others are the words of a task."""

SENTENCES = (
    *FAILURES,
    "the process that",
    "each of {count} processes that",
    "did you mean {names}?",
    "this worker knows {names}{more}",
    # Parts, phases and states, before a colon or a semicolon.
    "broker",
    "journal",
    "balancer",
    "supervisor",
    "starting",
    "draining",
    "troubled",
    "restarting",
    "crashed",
    # The broker.
    "embedded queue in {path}",
    "RabbitMQ at {host}:{port}",
    "connecting",
    "there is no queue in {path} yet",
    "{path} was deleted or replaced while it was in use",
    "the connection was closed",
    "it did not respond in time",
    "it stopped responding",
    "it accepted no messages for too long",
    "RabbitMQ did not return its message counts in time",
    "RabbitMQ accepts no messages",
    "RabbitMQ confirmed a message but does not deliver it",
    "RabbitMQ has confirmed nothing for {seconds} seconds",
    "RabbitMQ replied {code} {text}",
    "RabbitMQ cancelled the consumer of {queue}: was the queue deleted?",
    "{queue} was recreated, and RabbitMQ did not report it",
    "{place} accepts no messages for now: {reason}",
    "{place} refuses the user name or the password: correct the broker URL",
    "{place} refuses this user: the virtual host does not exist, or the user has no permission for it",
    "the queues of Cauce do not exist yet; a server or worker creates them",
    "another process of Cauce is creating the queues now",
    # The journal.
    "{path} can't be used now: {reason}",
    "{path} can't be used: {reason}{remedy}",
    "{path} can't be used: this user has no permission to write it",
    "{path} can't be created: {reason}",
    "there is no journal {path} yet: servers and workers create it",
    "an older version wrote this journal: start the system with this version once to see all that it can show",
    "database is locked",
    "Connection refused",
    # Processes.
    "not in the journal yet",
    "no worker is running, and tasks wait",
    "silent: it writes no heartbeat",
    "stuck: nothing has ended for {span} while tasks keep all threads busy ({count}), such as {names}",
    "a task blocks the event loop of runner {number}: other async tasks wait",
    "task {id} blocks the event loop of runner {number}: other async tasks wait",
    "has just started",
    "{address} takes no connection: {error}",
    "{address} closes the connection without an answer",
    "{address} doesn't answer: {error}",
    "ended with an unknown exit code",
    "killed by signal {number}",
    "ended with code {code}",
    "{note}; died {deaths} times within {seconds} seconds, and stays down",
    "can't start {name}: {error}",
    "{heading}; it printed nothing",
    # The supervisor and its operations.
    "a supervisor runs in {directory}, but can't be reached; try again",
    "no supervisor runs in {directory}; `up` starts one",
    "the supervisor of {directory} doesn't answer; try again, or end it with `down`",
    "{supervisor} closed the connection without a reply",
    "{reason}: {name} listens on {address}",
    "{address} is held by {holder}",
    "another program",
    "a killed supervisor had left {names}: ended, as {settings} was asked for",
    "the files of the supervisor are out of date: {error}",
    "can't write {path}: {reason}",
    "there is no process {name}; there are: {names}",
    "NGINX needs at least one server to send connections to",
    "the system is {phase}: wait until it runs, or take it down",
    "the whole system is being taken down",
    "the system is still stopping; look at `status`",
    "{operation} is still under way; look at `status`",
    "{name} was stopped before it was ready",
    "{name} was stopped before it was started again",
    "{name} was started again before it had stopped",
    "these processes could not be ended: {pids}",
    # Searches.
    "a search has at most {number} characters",
    "a search has at most {number} words",
    "{name}: needs a value, such as {key}:{example}",
    "{word} needs a whole number, such as attempts>1",
    "{word} needs a time, such as 500ms, 2s, 10m, 1h or 1d",
    "state: must be one of {states}",
    # Clients and files.
    "the server closed the connection",
    "the server is shutting down",
    "no answer within {seconds} seconds",
    "{path} exists already: choose another name",
    "{path} can't be written: {reason}",
    "{path} can't be read: {reason}",
    "{path} is {encoding}: save it as UTF-8",
    "{path} is not UTF-8: {reason}",
    "there is no log of {name}; there are: {names}",
    # The console itself.
    "the state of the system can't be read: {type}: {error}",
)

_PLACEHOLDER = re.compile(r"\{\w+\}")


def describe(trouble: Trouble, tr: Translations) -> str:
    """Return a trouble as a text: `w1: broker: connection refused`."""
    part = "" if trouble.part in {Part.PROCESS, Part.CONSOLE} else translate(trouble.part, tr)
    return ": ".join(text for text in (trouble.process, part, translate(trouble.reason, tr)) if text)


def describe_failure(text: str, tr: Translations) -> str:
    """Return a failure, `type: message`, with the message in the user's language if Cauce has worded it."""
    kind, mark, message = text.partition(": ")
    is_known = any(_pattern(sentence).fullmatch(message) for sentence in FAILURES)
    return f"{kind}{mark}{translate(message, tr)}" if is_known else text


def translate(text: str, tr: Translations) -> str:
    """Return a text of `core` in the user's language, as far as its sentences are known."""
    return text if tr.language == ENGLISH else _translated(text, tr)


@functools.lru_cache(maxsize=1024)
def _translated(text: str, tr: Translations) -> str:
    if text in SENTENCES:
        return tr(text)
    for sentence, pattern in _patterns().items():
        found = pattern.fullmatch(text)
        if found is not None:
            return tr(sentence, **{name: _translated(value, tr) for name, value in found.groupdict().items()})
    for separator in ("; ", ": "):
        head, mark, rest = text.partition(separator)
        if mark:
            return f"{_translated(head, tr)}{mark}{_translated(rest, tr)}"
    return text


@functools.cache
def _patterns() -> Mapping[str, re.Pattern[str]]:
    """Return a pattern for each sentence with placeholders, the most specific sentence first."""
    ordered = sorted(SENTENCES, key=lambda sentence: len(_PLACEHOLDER.sub("", sentence)), reverse=True)
    return {sentence: _pattern(sentence) for sentence in ordered if "{" in sentence}


@functools.cache
def _pattern(sentence: str) -> re.Pattern[str]:
    literals = [re.escape(literal) for literal in _PLACEHOLDER.split(sentence)]
    names = _PLACEHOLDER.findall(sentence)
    groups = [f"(?P<{name[1:-1]}>.+?)" for name in names] + [""]
    return re.compile("".join(literal + group for literal, group in zip(literals, groups, strict=True)), re.DOTALL)
