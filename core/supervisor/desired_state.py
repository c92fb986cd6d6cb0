"""What a supervisor that follows a killed one is to run: what it is asked for now, and what went on meanwhile. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from core import config
from core.config import Origin, Settings
from core.supervisor import options
from core.supervisor.state import DesiredState

_NOT_KEPT = frozenset({config.DIRECTORY.key, config.TOKEN.key})
"""The directory is where the file is found, and a secret is written down nowhere."""

FORMER = "the system that goes on"
"""The place of a setting that nobody has given anew."""


def given(settings: Settings) -> dict[str, str]:
    """The settings that somebody has chosen, by their keys, as text."""
    return {
        option.key: settings.origins[option.key].text
        for option in settings.options
        if settings.given(option) and option.key not in _NOT_KEPT
    }


def begin(settings: Settings) -> DesiredState:
    """What a system is to be that begins with these settings."""
    asked = given(settings)
    return DesiredState(asked=asked, current=dict(asked))


def follow(settings: Settings, former: DesiredState) -> tuple[Settings, DesiredState]:
    """The settings for going on with a system, and what it is to be from now on.

    A setting that is given now as it was given then, or not at all, stays what it has become;
    one that is given otherwise changes it.
    """
    asked = given(settings)
    changed = {key: text for key, text in asked.items() if former.asked.get(key) != text}
    current = {**former.current, **changed}
    intention = DesiredState(asked={**former.asked, **asked}, current=current, stopped=former.stopped)
    return with_texts(settings, current), intention


def with_sizes(former: DesiredState, servers: int, workers: int) -> DesiredState:
    """The same system with so many servers and workers."""
    sizes = {options.SERVER_COUNT.key: str(servers), options.WORKER_COUNT.key: str(workers)}
    return DesiredState(asked=former.asked, current={**former.current, **sizes}, stopped=former.stopped)


def with_stopped(former: DesiredState, stopped: Iterable[str]) -> DesiredState:
    """The same system with these parts stopped by an operator."""
    return DesiredState(asked=former.asked, current=former.current, stopped=tuple(stopped))


def with_texts(settings: Settings, texts: Mapping[str, str]) -> Settings:
    """The same settings with these values, where they make sense."""
    values, origins = dict(settings.values), dict(settings.origins)
    for option in settings.options:
        text = texts.get(option.key)
        if text is None or (settings.given(option) and settings.origins[option.key].text == text):
            continue
        try:
            values[option.key] = option.read(text)
        except ValueError:
            continue  # of another version
        origins[option.key] = Origin(text, FORMER)
    return replace(settings, values=values, origins=origins)
