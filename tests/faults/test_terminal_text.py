"""The check for hostile text that reached a terminal."""

import pytest

from core.logs import printable
from tests.faults.terminal_text import CORPUS, terminal_commands, unprintable


def test_the_corpus_is_large_and_has_no_duplicates() -> None:
    assert len(CORPUS) == len(set(CORPUS)) >= 60


@pytest.mark.parametrize("text", [text for text in CORPUS if not text.isprintable()][:40])
def test_raw_text_is_expected_and_printable_text_is_not(text: str) -> None:
    if text.strip("\n"):
        assert unprintable(f"before {text} after")
    assert not unprintable(printable(text))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"\x1b[1;31mplain\x1b[0m", set()),
        ("▁▂ ❛ ─".encode(), set()),
        (b"\x1b]52;c;AA\x07", {"a title, the clipboard, a link or another command of the system", "a bell"}),
        ("\x9b2J".encode(), {"a control of the second set"}),
        ("\u202e".encode(), {"writing from right to left"}),
    ],
)
def test_what_a_full_screen_program_may_not_send_is_expected(raw: bytes, expected: set[str]) -> None:
    assert terminal_commands(raw) == expected
