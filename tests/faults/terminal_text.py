"""Texts that a terminal or terminal library could interpret, and checks that none got through. Pure."""

import re
from collections.abc import Mapping

_ANSI = (
    "\x1b[2J\x1b[H",
    "\x1b[?1049l",
    "\x1b[31;1mred\x1b[0m",
    "\x1b[6n",
    "\x1b[c",
    "\x1b[>0q",
    "\x1b[21t",
    "\x1b[8;1;1t",
    "\x1b[?1000h\x1b[?1006h",
    "\x1b[?2004l",
    "\x1b[4i print \x1b[5i",
    "\x1b[999999999;999999999H",
    "\x1b[1;1r",
    "\x1bc",
    "\x1b7\x1b8\x1bM\x1bD",
    "\x1b(0 lines \x1b(B",
    "\x1b#8",
    "\x1b",
    "\x1b[",
    "\x1b[?",
)
_STRINGS = (
    "\x1b]0;PWNED\x07",
    "\x1b]2;PWNED\x1b\\",
    "\x1b]52;c;cm0gLXJm\x07",
    "\x1b]52;c;?\x07",
    "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]4;0;?\x07\x1b]10;?\x07",
    "\x1b]1337;File=inline=1:AAAA\x07",
    "\x1b]777;notify;a;b\x07\x1b]9;c\x07",
    "\x1b]50;?\x07",
    "\x1b]2;never ended",
    "\x1bP+q544e\x1b\\",
    "\x1bP$q\x22p\x1b\\",
    "\x1bPq#0;2;0;0;0~~\x1b\\",
    "\x1b_Gf=24,s=1,v=1;AAAA\x1b\\",
    "\x1b^private\x1b\\",
    "\x1bX string \x1b\\",
    "\x1bPtmux;\x1b\x1b]52;c;AA\x07\x1b\\",
    "\x1bk title \x1b\\",
)
_CONTROLS = (
    "\x9b2J\x9b31m",
    "\x9d2;PWNED\x9c",
    "\x90+q\x9c",
    "\x85next\x84",
    "\x07\x07\x07",
    "over\rwritten",
    "back\b\b\b\bspaced",
    "a\x0b\x0c\x0e\x0fb",
    "\x00\x01\x02\x03\x04\x05\x11\x13\x1a\x7f",
    "\x05answerback",
)
_WRITING = (
    "a\u202egnp.exe",
    "\u2066\u2067\u2068 isolates \u2069\u2069\u2069",
    "\u200e\u200f\u061c marks",
    "\u200b\u2060\ufeff nothing to be seen",
    "\u2028lines\u2029paragraphs",
    "👩‍👩‍👧‍👦🏳️‍🌈👍🏽 families",
    "e" + "\u0301" * 300,
    "Z̴̡̛͓͔̭̖͙̟͖̺̳a̵l̶g̷o̸",
    "﷽" * 50,
    "ｗｉｄｅ 漢字 " * 20,
    "\U000e0001\U000e0041 tags",
    "\ufff9annotation\ufffb\ufffe",
)
_MARKUP = (
    "[/b]",
    "[red]x[/red] [/foo] [",
    "[@click=app.quit]click[/]",
    "[link=http://evil.example]x[/link]",
    "\\[/b] {0} {x!r} %s %n $HOME `id`",
    "x" * 1_000_000,
    "line\nline\r\n\tend",
)

CORPUS: tuple[str, ...] = (*_ANSI, *_STRINGS, *_CONTROLS, *_WRITING, *_MARKUP)
"""All the texts."""

_ALLOWED = "\n"
_POINTER = re.compile(rb"\x1b\]22;[a-z-]*\x07")
"""The console itself sends this to set the shape of the mouse pointer."""

_NEVER: Mapping[str, bytes] = {
    "a title, the clipboard, a link or another command of the system": b"\x1b]",
    "a device string": b"\x1bP",
    "an application's or a private string": b"\x1b_",
    "a private message": b"\x1b^",
    "a reset": b"\x1bc",
    "a test picture": b"\x1b#8",
    "another set of signs": b"\x1b(0",
    "a question for the cursor": b"\x1b[6n",
    "a bell": b"\x07",
    "a NUL": b"\0",
    "writing from right to left": "\u202e".encode(),
    "an isolate": "\u2067".encode(),
    "a mark of direction": "\u200f".encode(),
    "a tag": "\U000e0041".encode(),
}


def unprintable(text: str) -> set[str]:
    """Return the characters in a program's output that no terminal should be sent."""
    return {ascii(character) for character in text if character not in _ALLOWED and not character.isprintable()}


def terminal_commands(raw: bytes) -> set[str]:
    """Return the sequences in a full-screen program's output that can only come from the corpus."""
    raw = _POINTER.sub(b"", raw)
    found = {name for name, sequence in _NEVER.items() if sequence in raw}
    controls = any(control in raw for control in (chr(code).encode() for code in range(0x80, 0xA0)))
    return found | ({"a control of the second set"} if controls else set())
