"""What a person may ask the journal in SQL, and how it is printed."""

import json
from pathlib import Path

import pytest

from core.database import Database
from core.errors import JournalMissing, JournalUnusable, StatementRefused
from core.repository.journal import Journal
from core.repository.sqlite import FAULTS
from core.supervisor import sql
from core.supervisor.sql import MAX_WIDTH, ROWS_MEASURED


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A file with a table."""
    with Database(tmp_path / "resultados.db", FAULTS) as database:
        database.execute("CREATE TABLE words (number INTEGER, word)")
        words = ["uno", None, b"\x00\xff", "\x1b[31mred\n", 1.5]
        database.execute_many("INSERT INTO words VALUES (?, ?)", list(enumerate(words)))
    return Journal("resultados.db", tmp_path)


def printed(
    journal: Journal, statement: str, capsys: pytest.CaptureFixture[str], *, as_json: bool = False
) -> list[str]:
    """Return the lines that a statement prints."""
    sql.run(journal, statement, as_json=as_json)
    return capsys.readouterr().out.splitlines()


def test_rows_are_printed_as_a_table(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(journal, "SELECT number, word FROM words;", capsys) == [
        "number  word",
        "0       uno",
        "1       NULL",
        "2       00ff",
        r"3       \x1b[31mred\n",
        "4       1.5",
    ]
    assert printed(journal, "SELECT word FROM words WHERE 0", capsys) == ["word"]
    long = printed(journal, "SELECT printf('%.*c', 100, 'x') AS a, 1 AS b", capsys)
    assert long[1] == f"{'x' * (MAX_WIDTH - 1)}…  1"


def test_rows_are_printed_as_json(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(journal, "SELECT number, word FROM words", capsys, as_json=True)
    assert [json.loads(line)["word"] for line in lines] == ["uno", None, "00ff", "\x1b[31mred\n", 1.5]
    assert json.loads(lines[0]) == {"number": 0, "word": "uno"}
    assert printed(journal, "SELECT 9e999 AS x", capsys, as_json=True) == ['{"x": "inf"}']


def test_rows_beyond_those_that_were_measured_are_printed_too(
    journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    count = ROWS_MEASURED + 5
    statement = f"WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {count}) SELECT x FROM n"  # noqa: S608 - a number
    assert printed(journal, statement, capsys)[1:] == [str(number) for number in range(1, count + 1)]


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DELETE FROM words", "not authorized"),
        ("INSERT INTO words VALUES (1, 2)", "not authorized"),
        ("DROP TABLE words", "not authorized"),
        ("ATTACH 'other.db' AS other", "not authorized"),
        ("PRAGMA journal_mode = DELETE", "not authorized"),
        ("PRAGMA wal_checkpoint", "not authorized"),
        ("VACUUM INTO 'other.db'", "write one SELECT"),
        ("SELECT 1; SELECT 2", "write one SELECT"),
        ("SELECT 1; DELETE FROM words", "write one SELECT"),
        ("", "write one SELECT"),
        ("-- nothing", "write one SELECT"),
        ("SELEC 1", 'near "SELEC": syntax error'),
        ("SELECT * FROM nowhere", "no such table: nowhere"),
        ("SELECT ?", "bindings"),
        ("SELECT abs(-9223372036854775808)", "integer overflow"),
    ],
)
def test_whatever_does_more_than_read_is_refused(journal: Journal, statement: str, words: str) -> None:
    before = journal.path.read_bytes()
    with pytest.raises(StatementRefused, match=words):
        sql.run(journal, statement, as_json=False)
    assert journal.path.read_bytes() == before
    assert not (journal.path.parent / "other.db").exists()


def test_the_tables_can_be_listed(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    assert any("words" in line for line in printed(journal, "SELECT name FROM sqlite_schema", capsys))
    assert "word" in printed(journal, "PRAGMA table_info(words)", capsys)[2]


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalMissing):
        sql.run(Journal("nothing.db", tmp_path), "SELECT 1", as_json=False)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "text.db").write_text("no database, " * 100)
    with pytest.raises(JournalUnusable):
        sql.run(Journal("text.db", tmp_path), "SELECT * FROM sqlite_schema", as_json=False)
