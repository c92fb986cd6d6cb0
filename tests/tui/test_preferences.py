"""What a person has chosen, and finds again."""

import json
from pathlib import Path

import pytest

from tui.preferences import Preferences


def test_what_was_chosen_is_found_again(tmp_path: Path) -> None:
    file = tmp_path / "console.json"
    chosen = Preferences(file)
    chosen.put("theme", "cauce-light")
    chosen.put("tab", "failed")
    chosen.put("tab", "monitor")
    chosen.put("compact", True)
    again = Preferences(file)
    assert (again.text("theme", ""), again.text("tab", ""), again.flag("compact")) == ("cauce-light", "monitor", True)
    assert [path.name for path in tmp_path.iterdir()] == ["console.json"]


def test_nothing_is_chosen_at_first_and_nothing_is_made(tmp_path: Path) -> None:
    fresh = Preferences(tmp_path / "console.json")
    assert fresh.text("theme", "cauce") == "cauce"
    assert not fresh.flag("compact")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[1, 2]",
        b"{",
        b"\xff\xfe",
        b'{"theme": "\xff"}',
        b'{"theme": "\\ud800"}',
        b'{"a":' * 10_000,
        b'{"theme": 1e999}',
        b"\x00" * 100_000,
    ],
    ids=range(10),
)
def test_a_file_that_cannot_be_understood_counts_as_none_and_is_replaced(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "console.json"
    file.write_bytes(content)
    chosen = Preferences(file)
    assert chosen.text("theme", "cauce") == "cauce"
    chosen.put("theme", "cauce-light")
    assert json.loads(file.read_bytes()) == {"theme": "cauce-light"}


def test_a_value_of_another_type_counts_as_none(tmp_path: Path) -> None:
    file = tmp_path / "console.json"
    file.write_text('{"theme": 7, "compact": "yes", "tab": null}')
    chosen = Preferences(file)
    assert (chosen.text("theme", "x"), chosen.text("tab", "y"), chosen.flag("compact")) == ("x", "y", False)


def test_what_another_version_has_chosen_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "console.json"
    file.write_text('{"later": {"a": [1]}}')
    Preferences(file).put("compact", True)
    assert json.loads(file.read_bytes()) == {"later": {"a": [1]}, "compact": True}


def test_a_file_that_cannot_be_written_is_nobodys_trouble(tmp_path: Path) -> None:
    chosen = Preferences(tmp_path / "missing" / "console.json")
    chosen.put("theme", "cauce-light")
    assert chosen.text("theme", "") == "cauce-light"
    directory = Preferences(tmp_path)
    directory.put("theme", "cauce-light")
    assert directory.text("theme", "") == "cauce-light"


def test_a_value_that_cannot_be_written_is_nobodys_trouble(tmp_path: Path) -> None:
    chosen = Preferences(tmp_path / "console.json")
    chosen.put("filter", "\ud800")
    assert chosen.text("filter", "") == "\ud800"
