"""What the operator asked to run, and how a new supervisor goes on with the system of a killed one.

All functions are pure.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace

import msgspec

from core import config
from core.config import Origin, Settings, SettingSource
from core.supervisor import options
from core.supervisor.state import DesiredState

_NOT_STORED = frozenset({config.DIRECTORY.key, config.TOKEN.key})
"""Settings that are not stored: the file lies in the directory itself, and a token is a secret."""

FORMER = "the former supervisor"
"""The origin of a setting that is taken from the former supervisor."""


def given_settings(settings: Settings) -> dict[str, str]:
    """Return the texts of the settings that are not defaults, by key."""
    return {
        option.key: settings.origins[option.key].text
        for option in settings.options
        if settings.given(option) and option.key not in _NOT_STORED
    }


def initial(settings: Settings) -> DesiredState:
    """Return the desired state of a system that starts with these settings."""
    asked = given_settings(settings)
    return DesiredState(asked=asked, current=dict(asked))


def resume(settings: Settings, former: DesiredState) -> tuple[Settings, DesiredState]:
    """Return the effective settings for going on with a system, and its new desired state.

    A setting that is given as it was before, or not at all, keeps its current value. Any other value replaces it.
    """
    asked = given_settings(settings)
    changed = {key: text for key, text in asked.items() if former.asked.get(key) != text}
    current = {**former.current, **changed}
    desired = msgspec.structs.replace(former, asked={**former.asked, **asked}, current=current)
    return with_texts(settings, current), desired


def with_sizes(former: DesiredState, servers: int, workers: int) -> DesiredState:
    """Return the desired state with that many servers and workers."""
    sizes = {options.SERVER_COUNT.key: str(servers), options.WORKER_COUNT.key: str(workers)}
    return msgspec.structs.replace(former, current={**former.current, **sizes})


def with_stopped(former: DesiredState, stopped: Iterable[str]) -> DesiredState:
    """Return the desired state with these units stopped by an operator."""
    return msgspec.structs.replace(former, stopped=tuple(stopped))


def with_token(former: DesiredState, token: str | None) -> DesiredState:
    """Return the desired state with this token, of which only a digest is kept; None when clients need none."""
    return msgspec.structs.replace(former, token_digest=token_digest(token))


def token_digest(token: str | None) -> str:
    """Return a digest of the token that clients must send; an empty string when they need none."""
    return hashlib.blake2s(token.encode(), person=b"token").hexdigest() if token else ""


def with_texts(settings: Settings, texts: Mapping[str, str]) -> Settings:
    """Return the settings with these values. Values that are not valid are left out."""
    values, origins = dict(settings.values), dict(settings.origins)
    for option in settings.options:
        text = texts.get(option.key)
        if text is None or (settings.given(option) and settings.origins[option.key].text == text):
            continue
        try:
            values[option.key] = option.read(text)
        except ValueError:
            continue  # written by another version
        origins[option.key] = Origin(text, FORMER, SettingSource.FLAG)
    return replace(settings, values=values, origins=origins)
