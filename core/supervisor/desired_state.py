"""What the operator asked to run, and how a new supervisor goes on with the system of a killed one.

All functions are pure.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace

import msgspec

from core import config
from core.config import Option, Origin, Settings, SettingSource
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
    current = {**former.current, **{key: asked[key] for key in _changed(settings, asked, former)}}
    desired = msgspec.structs.replace(former, asked={**former.asked, **asked}, current=current)
    return with_texts(_without(settings, asked.keys() - current.keys()), current), desired


def _changed(settings: Settings, asked: Mapping[str, str], former: DesiredState) -> list[str]:
    """Return the keys of the settings whose values, not only their texts, are others than before."""
    known = {**former.current, **former.asked}
    return [
        option.key
        for option in settings.options
        if option.key in asked
        and asked[option.key] != known.get(option.key)
        and settings.values[option.key] != _value(option, known.get(option.key))
    ]


def _value(option: Option[object], text: str | None) -> object:
    """Return the value of a text, or the default; None when another version has written the text."""
    try:
        return option.default if text is None else option.read(text)
    except ValueError:
        return None


def _without(settings: Settings, keys: Iterable[str]) -> Settings:
    """Return the settings with these as if they were not given: their values are the defaults."""
    dropped = [option for option in settings.options if option.key in set(keys)]
    origins = {option.key: Origin(config.default_text(option), "default", SettingSource.DEFAULT) for option in dropped}
    return replace(settings, origins={**settings.origins, **origins})


def changed_keys(former: DesiredState | None, now: DesiredState) -> frozenset[str]:
    """Return the keys of the settings in which two desired states differ. The token counts as `token`."""
    if former is None:
        return frozenset()
    keys = {key for key in {*former.current, *now.current} if former.current.get(key) != now.current.get(key)}
    if former.token_digest not in {now.token_digest, None}:
        keys.add(config.TOKEN.key)
    return frozenset(keys)


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
