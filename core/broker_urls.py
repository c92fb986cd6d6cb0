"""URLs of RabbitMQ as users write them: several in one text, their passwords, and characters that must be encoded.

Pure: no library of a broker is needed, so every program can check a URL before anything connects.
No message repeats a URL, because of the password in it.
"""

import re
from urllib.parse import quote

FORM = "use the form amqp://USER:PASSWORD@HOST:PORT/VHOST, with special characters percent-encoded"

_NEXT_URL = re.compile(r",(?=\s*[A-Za-z][A-Za-z0-9+.-]*://)")
_CREDENTIALS = re.compile(r"(?P<user>(?:[^:]*://)?+[^:]*):.*@", re.DOTALL)
_AMQP = re.compile(r"amqps?://", re.IGNORECASE)
_ENDS_AUTHORITY = re.compile(r"[/?#]")
_NEVER_RAW = re.compile(r"[\[\]\s\x00-\x1f\x7f]")
_RESERVED = re.compile(r"[/?#\[\]@\s\x00-\x1f\x7f]|%(?![0-9A-Fa-f]{2})")


def split(text: str) -> list[str]:
    """Return the URLs of a text, which are separated by commas. A password may hold a comma that no URL follows."""
    return [part for part in map(str.strip, _NEXT_URL.split(text)) if part]


def mask_password(text: str) -> str:
    """Return a URL, or several separated by commas, with the passwords masked."""
    return ",".join(_mask_one(part) for part in _NEXT_URL.split(text))


def credentials(url: str) -> str:
    """Return the user name and password of a URL, as they are written in it."""
    return _AMQP.sub("", url, count=1).rpartition("@")[0]


def broker_setting(value: str) -> str:
    """Return the setting of a broker, without surrounding spaces.

    Raises:
        ValueError: it is empty, or a URL in it has a character that must be percent-encoded.
    """
    if not value.strip():
        raise ValueError("must not be empty")
    for url in split(value):
        if _AMQP.match(url):
            _check(url)
    return value.strip()


def _check(url: str) -> None:
    """Raise `ValueError` when a URL would be understood in another way than it was meant."""
    rest = _AMQP.sub("", url, count=1)
    end = _ENDS_AUTHORITY.search(rest)
    authority, tail = (rest[: end.start()], rest[end.start() :]) if end else (rest, "")
    user, _, host = authority.rpartition("@")
    virtual_host = tail.partition("?")[0][1:]
    if "@" in tail:
        # The password is cut off at its first special character, unless it is the virtual host that holds an @.
        raise ValueError(_advice(rest.rpartition("@")[0]))
    if _NEVER_RAW.search(user):
        raise ValueError(_advice(user))
    if (
        "#" in tail
        or virtual_host.startswith("/")
        or "/" in virtual_host.rstrip("/")
        or _NEVER_RAW.search(virtual_host)
    ):
        raise ValueError(_advice(tail.removeprefix("/")))
    if "," in host:
        raise ValueError("has a comma in its host: give each node of a cluster as a whole URL")


def _advice(part: str) -> str:
    """Return what to write instead, without the text around the characters."""
    found = dict.fromkeys(match.group() for match in _RESERVED.finditer(part))
    codes = ", ".join(f"{_shown(character)} as {quote(character, safe='')}" for character in found)
    return f"has special characters in its user name, password or virtual host: percent-encode them (write {codes})"


def _shown(character: str) -> str:
    if character == " ":
        return "a space"
    return character if character.isprintable() else f"the character {ord(character)}"


def _mask_one(url: str) -> str:
    match = _CREDENTIALS.match(url)
    return f"{match['user']}:********@{url[match.end() :]}" if match else url
