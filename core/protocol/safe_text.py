"""Text of strangers, made fit to stand in a message: short, and with nothing that a terminal would obey."""

_QUOTE = 80
_MESSAGE = 300


def quote(text: str) -> str:
    """Quote a text as `repr` does, in at most 80 characters."""
    quoted = repr(text[:_QUOTE])
    if len(text) <= _QUOTE and len(quoted) <= _QUOTE:
        return quoted
    return f"{quoted[: _QUOTE - 1]}…"


def readable(message: str) -> str:
    """Make a message printable, in at most 300 characters."""
    if len(message) > _MESSAGE:
        message = f"{message[: _MESSAGE - 1]}…"
    if message.isprintable():
        return message
    escaped = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in message)
    return escaped if len(escaped) <= _MESSAGE else f"{escaped[: _MESSAGE - 1]}…"
