"""Parsing of searches."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import SearchError
from core.repository.search import Comparison, NumericField, Search, Term, TextField, parse

NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("boom", Term("boom")),
        ("-boom", Term("boom", negated=True)),
        ('"two words"', Term("two words")),
        ('-"two words"', Term("two words", negated=True)),
        ("-", Term("-")),
        ("kind:echo", Term("echo", TextField.KIND)),
        ('error:"no such file"', Term("no such file", TextField.ERROR)),
        ("-worker:w*", Term("w*", TextField.WORKER, negated=True)),
        ("state:failed", Term("failed", TextField.STATE)),
        ("http://host", Term("http://host")),
        ("took", Term("took")),
        ('"', Term('"')),
    ],
)
def test_words(text: str, term: Term) -> None:
    assert parse(text, NOW) == Search(terms=(term,))


@pytest.mark.parametrize(
    ("text", "comparison"),
    [
        ("took>500ms", Comparison(NumericField.TOOK, ">", 0.5)),
        ("took<=2", Comparison(NumericField.TOOK, "<=", 2.0)),
        ("waited>=1.5m", Comparison(NumericField.WAITED, ">=", 90.0)),
        ("attempts=3", Comparison(NumericField.ATTEMPTS, "=", 3.0)),
        ("-attempts>1", Comparison(NumericField.ATTEMPTS, ">", 1.0, negated=True)),
        ("since:10m", Comparison(NumericField.ENDED, ">=", NOW - 600)),
        ("before:1d", Comparison(NumericField.ENDED, "<", NOW - 86_400)),
    ],
)
def test_comparisons(text: str, comparison: Comparison) -> None:
    assert parse(text, NOW) == Search(comparisons=(comparison,))


def test_all_words_together() -> None:
    found = parse("  kind:echo  -boom took>1s ", NOW)
    assert found.terms == (Term("echo", TextField.KIND), Term("boom", negated=True))
    assert found.comparisons == (Comparison(NumericField.TOOK, ">", 1.0),)
    assert found != Search()


def test_an_empty_search_matches_all() -> None:
    assert parse("   ", NOW) == Search()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind:", "kind: needs a value, such as kind:echo"),
        ('id:""', "id: needs a value"),
        ("state:doen", "must be one of done, failed, cancelled"),
        ("took>", "needs a time, such as 500ms"),
        ("took>soon", "needs a time"),
        ("attempts>1s", "needs a whole number"),
        ("since:yesterday", "needs a time"),
        ("x" * 501, "at most 500 characters"),
        ("a " * 21, "at most 20 words"),
    ],
)
def test_an_error_says_what_would_be_right(text: str, message: str) -> None:
    with pytest.raises(SearchError, match=message.replace("(", r"\(")):
        parse(text, NOW)


@given(st.text(max_size=200))
def test_any_text_is_read_or_explained(text: str) -> None:
    with contextlib.suppress(SearchError):
        assert (parse(text, NOW) == Search()) == (not text.split())
