"""Lines from bytes: their ends, the pieces in which they arrive, and their limit."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.protocol.lines import LineReader, LineTooLong

LIMIT = 100


def take(reader: LineReader) -> list[bytes]:
    lines: list[bytes] = []
    while (line := reader.next()) is not None:
        lines.append(line)
    return lines


@settings(deadline=None, max_examples=200)
@given(st.lists(st.binary(max_size=LIMIT)))
def test_the_pieces_in_which_bytes_arrive_make_no_difference(pieces: list[bytes]) -> None:
    text = b"".join(pieces)
    whole, cut, dripped = LineReader(10**6), LineReader(10**6), LineReader(10**6)
    whole.feed(text)
    expected = text.split(b"\n")
    assert take(whole) == expected[:-1]
    from_pieces: list[bytes] = []
    for piece in pieces:
        cut.feed(piece)
        from_pieces += take(cut)
    from_drips: list[bytes] = []
    for byte in text:
        dripped.feed(bytes([byte]))
        from_drips += take(dripped)
    assert from_pieces == from_drips == expected[:-1]
    for reader in (whole, cut, dripped):
        assert reader.ended == len(expected) - 1
        assert reader.has_partial_line == bool(expected[-1])
        assert reader.buffered == len(expected[-1])


@pytest.mark.parametrize("text", ["a\u2028b", "a\u2029b", "a\u0085b", "a\rb", "a\x0bb", "a\x0cb", "a\x1eb", "a\x00b"])
def test_only_the_newline_byte_ends_a_line(text: str) -> None:
    reader = LineReader(LIMIT)
    reader.feed(text.encode() + b"\nnext\n")
    assert take(reader) == [text.encode(), b"next"]


def test_a_line_of_exactly_the_limit_is_returned() -> None:
    reader = LineReader(LIMIT)
    reader.feed(b"x" * LIMIT)
    assert reader.next() is None
    reader.feed(b"\n")
    assert reader.next() == b"x" * LIMIT


@pytest.mark.parametrize("end", [b"", b"\n", b"\nmore\n"])
def test_a_line_one_byte_above_the_limit_is_refused(end: bytes) -> None:
    reader = LineReader(LIMIT)
    reader.feed(b"x" * (LIMIT + 1) + end)
    with pytest.raises(LineTooLong):
        reader.next()


def test_lines_before_one_that_is_too_long_are_returned() -> None:
    reader = LineReader(LIMIT)
    reader.feed(b"one\ntwo\n" + b"x" * (LIMIT + 1))
    assert reader.next() == b"one"
    assert reader.next() == b"two"
    with pytest.raises(LineTooLong):
        reader.next()


def test_the_limit_may_be_raised_for_the_lines_that_follow() -> None:
    reader = LineReader(5)
    reader.feed(b"hello\n" + b"x" * 50 + b"\n" + b"y" * 60)
    assert reader.next() == b"hello"
    reader.limit = LIMIT
    assert reader.next() == b"x" * 50
    assert reader.next() is None
    assert reader.has_partial_line


def test_a_long_line_in_small_pieces_moves_each_byte_only_a_few_times() -> None:
    size = 2**18
    reader = LineReader(size)
    moved = capacity = 0
    for _ in range(size):
        reader.feed(b"x")
        # A growing buffer moves its content whenever its capacity changes.
        now = reader._partial.__alloc__()  # noqa: SLF001 - the capacity shows nowhere else
        if now != capacity:
            capacity = now
            moved += now
    assert reader.next() is None
    assert moved < 20 * size


def test_clear_empties_the_buffer() -> None:
    reader = LineReader(LIMIT)
    reader.feed(b"one\ntwo\nthr")
    assert reader.buffered == 9
    reader.clear()
    assert reader.buffered == 0
    assert not reader.has_partial_line
    assert reader.next() is None
