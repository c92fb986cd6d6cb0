"""Compares what is asked for with the system that runs already, so that no setting is ignored without a word."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import msgspec

from core import broker_urls, config
from core.addresses import Address
from core.broker.factory import open_broker
from core.config import Option, Settings, SettingSource
from core.supervisor import options
from core.supervisor.desired_state import token_digest
from core.supervisor.plan import LOCAL, ProcessKind
from core.supervisor.state import DesiredState
from core.supervisor.status import SystemStatus

_NOT_COMPARED = frozenset({config.DIRECTORY.key, config.TOKEN.key, config.TOKEN_FILE.key})
_SIZES = {options.SERVER_COUNT.key: ProcessKind.SERVER, options.WORKER_COUNT.key: ProcessKind.WORKER}


class Difference(msgspec.Struct, frozen=True):
    """A setting for which something else runs than was asked for."""

    option: Option[object]
    place: str
    """Where it was asked for: a flag, a variable or a key of the settings file."""
    runs: str
    asked: str

    def __str__(self) -> str:
        kind = _SIZES.get(self.option.key)
        remedy = f" (`cauce scale {kind}s={self.asked}` changes that)" if kind is not None else ""
        return f"{self.place}: {self.runs} runs, {self.asked} was asked for{remedy}"


def describe(asked: Settings, report: SystemStatus, started: DesiredState) -> str:
    """Describe each difference and the commands that change it; an empty string when there is none.

    Args:
        asked: the settings with which somebody wants to start the system.
        report: the status of the running system.
        started: what the running system was asked to run.
    """
    found = list(_differences(asked, report, started))
    if not found:
        return ""
    where = f" --dir {shlex.quote(report.directory)}" if Path(report.directory) != Path.cwd() else ""
    values = _values(asked, report, started)
    flags = [flag for option, text in values if not _is_secret(text) for flag in _flag(option, text)]
    up = " ".join(["cauce up", *map(shlex.quote, flags)])
    secret = [f"{option.variable} set to the URL with its password" for option, text in values if _is_secret(text)]
    return "\n  ".join(
        [
            "it runs with other settings:",
            *map(str, found),
            ", with ".join([f"to change them all: `cauce down{where}`, then `{up}{where}`", *secret]),
        ]
    )


def _differences(asked: Settings, report: SystemStatus, started: DesiredState) -> Iterator[Difference]:
    for option in options.OPTIONS:
        if option.key in _NOT_COMPARED or not asked.given(option):
            continue
        origin = asked.origins[option.key]
        runs = _running_text(option, report, started)
        if not _is_same(option, asked[option], runs, report):
            shown = _shown(option, origin.text)
            other = ", with another user name or password" if shown == _shown(option, runs) else ""
            yield Difference(option, origin.place, _shown(option, runs), shown + other)
    yield from _token_difference(asked, started)


def _token_difference(asked: Settings, started: DesiredState) -> Iterator[Difference]:
    """Compare what is in the token files, not their names."""
    option = config.TOKEN_FILE if asked.given(config.TOKEN_FILE) else config.TOKEN
    wanted = token_digest(config.read_token(asked))
    if asked.given(option) and started.token_digest not in {wanted, None}:
        runs = "another token" if started.token_digest else "no token"
        yield Difference(option, asked.origins[option.key].place, runs, "this one")


def _running_text(option: Option[object], report: SystemStatus, started: DesiredState) -> str:
    """Return the text of a setting as it is in the running system."""
    kind = _SIZES.get(option.key)
    if kind is not None:
        return str(sum(1 for unit in report.processes if unit.kind is kind))
    text = started.current.get(option.key, config.default_text(option))
    if option is options.LISTEN:
        return report.listen or text
    if option is options.SERVER_PORT and report.servers:
        own = report.servers[0] == report.listen and options.LISTEN.key in started.current
        return str(Address.parse(report.servers[-1 if own else 0]).port) if len(report.servers) > own else text
    return text


def _is_same(option: Option[object], asked: object, runs: str, report: SystemStatus) -> bool:
    if option is config.BROKER:
        return _is_same_broker(str(asked), runs, report)
    try:
        running = option.read(runs) if runs else option.default
    except ValueError:  # written by another version
        return False
    # Port 0 asks for any.
    if isinstance(asked, Address) and isinstance(running, Address) and not asked.port:
        return asked.host == running.host
    return asked == running or (option is options.SERVER_PORT and not asked)


def _is_same_broker(asked: str, runs: str, report: SystemStatus) -> bool:
    """Compare brokers: one has several URLs, for example with its port and without."""
    if asked == runs or LOCAL in {asked, runs}:
        return asked == runs
    return open_broker(asked, Path(report.directory)).description == report.broker and [
        broker_urls.credentials(url) for url in broker_urls.split(asked)
    ] == [broker_urls.credentials(url) for url in broker_urls.split(runs)]


def _shown(option: Option[object], text: str) -> str:
    if option.read is config.switch:
        return "on" if config.switch(text) else "off"
    return config.mask_password(text) or "none"


def _values(asked: Settings, report: SystemStatus, started: DesiredState) -> list[tuple[Option[object], str]]:
    """Return the options, with their texts, that start the system as it runs, but as it is asked for now."""
    found = []
    for option in options.OPTIONS:
        if not option.flags or option is config.DIRECTORY:
            continue
        source = asked.origins[option.key].source
        if source in {SettingSource.ENVIRONMENT, SettingSource.FILE}:
            continue  # the same command finds it there
        if source is SettingSource.FLAG:
            text = asked.origins[option.key].text
        elif option.key in started.current:
            text = _running_text(option, report, started)
        else:
            continue
        if text != config.default_text(option):
            found.append((option, text))
    return found


def _is_secret(text: str) -> bool:
    """Return whether a text has a password. It can't be shown, and a command with the masked one would not work."""
    return config.mask_password(text) != text


def _flag(option: Option[object], text: str) -> Iterator[str]:
    if option.read is config.switch:
        yield option.flags[-1] if config.switch(text) else option.flags[-1].replace("--", "--no-", 1)
        return
    for part in config.task_modules(text) if option is options.TASKS else (text,):
        yield from (option.flags[-1], part)
