"""How the campaign tells that a hostile text got through to a terminal."""

import pytest

from core.logs import printable
from tests.faults.terminal_text import CORPUS, obeyed, unclean


def test_the_corpus_is_large_and_nothing_of_it_is_there_twice() -> None:
    assert len(CORPUS) == len(set(CORPUS)) >= 60


@pytest.mark.parametrize("text", [text for text in CORPUS if not text.isprintable()][:40])
def test_what_is_not_cleaned_is_found_and_what_is_cleaned_is_not(text: str) -> None:
    if text.strip("\n"):
        assert unclean(f"before {text} after")
    assert not unclean(printable(text))


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"\x1b[1;31mplain\x1b[0m", set()),
        ("▁▂ ❛ ─".encode(), set()),
        (b"\x1b]52;c;AA\x07", {"a title, the clipboard, a link or another command of the system", "a bell"}),
        ("\x9b2J".encode(), {"a control of the second set"}),
        ("\u202e".encode(), {"writing from right to left"}),
    ],
)
def test_what_a_full_screen_program_may_send_is_told_from_what_it_may_not(raw: bytes, found: set[str]) -> None:
    assert obeyed(raw) == found
