"""Text of other encodings, recognised by its first bytes."""

import pytest

from core.text_encoding import foreign_encoding

LINES = "uno dos\ntres\n"


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("utf-16-be", "UTF-16"),
        ("utf-32", "UTF-32"),
    ],
)
def test_an_encoding_is_recognised(encoding: str, name: str) -> None:
    assert foreign_encoding(LINES.encode(encoding)) == name


@pytest.mark.parametrize("start", [b"", b"\0", b"a", b"one\0two", "漢字".encode()])
def test_other_bytes_are_taken_for_utf8(start: bytes) -> None:
    assert foreign_encoding(start) == ""
