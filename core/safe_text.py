"""Untrusted text, made safe for a message: short, and without characters that a terminal would obey."""

MAX_LENGTH = 4096
"""Characters to which `printable` cuts a text by default."""

_QUOTE_LENGTH = 80
_MESSAGE_LENGTH = 300


def printable(text: str, max_length: int = MAX_LENGTH) -> str:
    """Return the text, cut to `max_length` characters, with unprintable characters escaped.

    Line breaks, tabs, and characters that change the direction of writing are escaped too.
    """
    if len(text) > max_length:
        text = f"{text[: max_length - 1]}…"
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def quote(text: str) -> str:
    """Quote a text as `repr` does, in at most 80 characters."""
    quoted = repr(text[:_QUOTE_LENGTH])
    if len(text) <= _QUOTE_LENGTH and len(quoted) <= _QUOTE_LENGTH:
        return quoted
    return f"{quoted[: _QUOTE_LENGTH - 1]}…"


def readable(message: str) -> str:
    """Return a printable message of at most 300 characters."""
    escaped = printable(message, _MESSAGE_LENGTH)
    return escaped if len(escaped) <= _MESSAGE_LENGTH else f"{escaped[: _MESSAGE_LENGTH - 1]}…"
