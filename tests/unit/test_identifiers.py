"""Identifiers: valid ones, and generated ones."""

import re
import uuid

import pytest

from core.identifiers import KIND, TASK_ID, new_id


def test_a_generated_id_is_a_uuid_of_version_7_with_its_time() -> None:
    made = uuid.UUID(new_id(1_700_000_000.123))
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert made.int >> 80 == 1_700_000_000_123


def test_a_generated_id_is_written_as_a_uuid_and_is_a_valid_task_id() -> None:
    made = new_id()
    assert str(uuid.UUID(made)) == made
    assert TASK_ID.fullmatch(made)


def test_generated_ids_sort_by_their_time() -> None:
    made = [new_id(second / 100) for second in (0, 1, 2, 99_999, 170_000_000_000, 180_000_000_000)]
    assert made == sorted(made)


def test_generated_ids_of_the_same_moment_differ() -> None:
    assert len({new_id(1.0) for _ in range(10_000)}) == 10_000


def test_every_variant_digit_is_generated() -> None:
    assert {new_id(1.0)[19] for _ in range(1000)} == set("89ab")


@pytest.mark.parametrize("good", ["a", "0", "mine-1", "A.b_c:d-e", "x" * 64])
def test_a_valid_task_id(good: str) -> None:
    assert TASK_ID.fullmatch(good)


@pytest.mark.parametrize("bad", ["", "-a", ".a", ":a", "a b", "a/b", "ñ", "٣", "a\n", "a\0", "x" * 65, "a\u200b"])
def test_an_invalid_task_id(bad: str) -> None:
    assert not TASK_ID.fullmatch(bad)


@pytest.mark.parametrize(
    ("name", "right"), [("echo", True), ("a.b_c-1", True), ("1a", False), ("a:b", False), ("", False), ("é", False)]
)
def test_the_name_of_a_kind(name: str, right: bool) -> None:
    assert bool(KIND.fullmatch(name)) is right
    assert not KIND.fullmatch("k" * 65)


def test_the_patterns_match_the_whole_text() -> None:
    assert all(isinstance(pattern, re.Pattern) and "^" not in pattern.pattern for pattern in (TASK_ID, KIND))
