"""Untrusted text in messages."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.safe_text import quote, readable


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("", "''"),
        ("né 字", "'né 字'"),
        ("a\x1b[31m\u202e\n\ud800", "'a\\x1b[31m\\u202e\\n\\ud800'"),
        ("x" * 78, "'" + "x" * 78 + "'"),
        ("x" * 79, "'" + "x" * 78 + "…"),
        ("x" * 10**6, "'" + "x" * 78 + "…"),
        ("\x00" * 80, "'" + ("\\x00" * 20)[:78] + "…"),
    ],
)
def test_a_quoted_text_is_short(text: str, quoted: str) -> None:
    assert quote(text) == quoted


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=400))
def test_a_message_is_short_and_printable_and_changed_no_more_than_needed(message: str) -> None:
    for text, max_length in ((readable(message), 300), (quote(message), 80)):
        assert text.isprintable()
        assert len(text) <= max_length
    if message.isprintable() and len(message) <= 300:
        assert readable(message) == message
