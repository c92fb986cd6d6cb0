"""The command `sql`: prints what a person asks the journal, with the library that the system itself uses.

Many systems' own `sqlite3` has the race for which `core.database` refuses a library, so it must not touch a journal in
use.
"""

import json
import math
import sys
from collections.abc import Iterator, Sequence
from itertools import chain, islice

from core.database import Database, Row, Value
from core.repository.journal import Journal
from core.repository.sqlite import FAULTS
from core.safe_text import printable

ROWS_MEASURED = 1000
"""The first rows, by which the columns get their widths."""

MAX_WIDTH = 60
"""Characters of a value in a table. The rest is cut; JSON has it."""


def run(journal: Journal, statement: str, *, as_json: bool) -> None:
    """Print the rows that a statement selects: a table, or a JSON object a row.

    Raises:
        StatementRefused: the statement is wrong, or would do more than read.
        JournalError: the journal can't be read.
    """
    journal.require_existing()
    with Database(journal.path, FAULTS, readonly=True) as database:
        names, rows = database.select(statement)
        for line in _json_lines(names, rows) if as_json else _table_lines(names, rows):
            sys.stdout.write(f"{line}\n")


def _json_lines(names: Sequence[str], rows: Iterator[Row]) -> Iterator[str]:
    for row in rows:
        yield json.dumps({name: _as_json(value) for name, value in zip(names, row, strict=True)})


def _as_json(value: Value) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # which no JSON number is
    return value.hex() if isinstance(value, bytes) else value


def _table_lines(names: Sequence[str], rows: Iterator[Row]) -> Iterator[str]:
    if not names:
        return
    first = list(islice(rows, ROWS_MEASURED))
    shown = [[_text(name) for name in names], *([_text(value) for value in row] for row in first)]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for cells in chain(shown, ([_text(value) for value in row] for row in rows)):
        yield "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _text(value: Value) -> str:
    text = "NULL" if value is None else value.hex() if isinstance(value, bytes) else str(value)
    return printable(text, MAX_WIDTH)
