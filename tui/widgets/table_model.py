"""What a table shows, without drawing it: columns and their widths, cells, and models of rows.

A model knows how many rows there are, the key of each, and its cells, which may not be known yet.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeAlias

import msgspec
from rich.cells import cell_len

MIN_WIDE = 100
"""The width, in characters, from which a table has two blanks between columns instead of one."""


class TableColumn(msgspec.Struct, frozen=True, kw_only=True):
    """One column."""

    key: str
    label: str
    width: int
    """The least width, in characters; a column that grows is narrower when its cells and its label are."""
    right: bool = False
    """Whether its texts are aligned to the right."""
    grow: int = 0
    """Its share of the spare width, relative to the other columns."""
    rank: int = 0
    """Columns of the highest rank are left out first when the table is too narrow; those of rank 0 never are."""
    sortable: bool = True
    keeps_end: bool = False
    """Whether a text that is too long is cut in the middle, because its end tells more than its beginning."""


class Cell(msgspec.Struct, frozen=True):
    """The text at one place of a table."""

    text: str
    """The clean text, which is drawn as it is."""
    style: str = ""
    """`good`, `bad`, `warn`, `dim` or `accent`; empty for plain."""


Cells: TypeAlias = Sequence[Cell]
"""The cells of a row, in the order of the columns."""

EMPTY_CELL = Cell("")


class TableModel(ABC):
    """Rows by their index, from 0."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of rows."""

    @abstractmethod
    def key(self, index: int) -> Hashable:
        """Return the key of a row, which stays the same when the row moves."""

    @abstractmethod
    def index_of(self, key: Hashable) -> int | None:
        """Return the index of the row with this key, or None when it is gone or not known."""

    @abstractmethod
    def cells(self, index: int) -> Cells | None:
        """Return the cells of a row, or None when they are not known yet."""

    def is_marked(self, index: int) -> bool:
        """Return whether the user has marked the row."""
        return False

    def rows_changed_since(self, before: "TableModel") -> list[int] | None:
        """Return the indices of the rows whose cells changed, or None when the rows themselves changed, or may have."""
        return None


class ListModel(TableModel):
    """Rows that are all known: keys and cells."""

    def __init__(self, rows: Sequence[tuple[Hashable, Cells]] = ()) -> None:
        self.rows = list(rows)
        self._indices = {key: index for index, (key, _) in enumerate(self.rows)}

    def __len__(self) -> int:
        return len(self.rows)

    def rows_changed_since(self, before: TableModel) -> list[int] | None:
        """Return the indices of the rows whose cells changed, or None when the keys changed."""
        if not isinstance(before, ListModel) or [key for key, _ in self.rows] != [key for key, _ in before.rows]:
            return None
        pairs = zip(self.rows, before.rows, strict=True)
        return [index for index, (now, then) in enumerate(pairs) if now != then]

    def key(self, index: int) -> Hashable:
        """Return the key of a row."""
        return self.rows[index][0]

    def index_of(self, key: Hashable) -> int | None:
        """Return the index of the row with this key, or None when there is none."""
        return self._indices.get(key)

    def cells(self, index: int) -> Cells | None:
        """Return the cells of a row."""
        return self.rows[index][1]


class ColumnLayout(msgspec.Struct, frozen=True):
    """The columns that fit a width, from left to right."""

    gap: int
    """Blanks between two columns."""
    columns: tuple[tuple[int, TableColumn, int], ...]
    """For each: its index among all columns, the column, and its width."""

    @property
    def width(self) -> int:
        """The characters of all columns and the gaps between them."""
        return sum(width + self.gap for _, _, width in self.columns) - self.gap


def lay_out(columns: Sequence[TableColumn], width: int, needs: Sequence[int] = ()) -> ColumnLayout:
    """Choose the columns that fit a width, and share the spare width among those that grow.

    Args:
        columns: the columns.
        width: the width of the table.
        needs: the width that the cells of each column need. A column that grows gets no more while others need it;
            without needs, all grow.
    """
    gap = 2 if width >= MIN_WIDE else 1
    fitting = _fitting_columns(columns, width, gap)
    widths = {index: _least_width(column, needs[index] if needs else None) for index, column in fitting}
    spare = width - sum(widths.values()) - gap * (len(fitting) - 1)
    shares = {index: column.grow for index, column in fitting if column.grow}
    if needs:
        spare = _fill_needs(widths, shares, needs, spare)
    total = sum(shares.values())
    for index, share in shares.items():
        widths[index] += max(0, spare) * share // total
    return ColumnLayout(gap, tuple((index, column, widths[index]) for index, column in fitting))


def _least_width(column: TableColumn, need: int | None) -> int:
    if need is None or not column.grow:
        return column.width
    # Beside the label is room for the sign of the order.
    return min(column.width, max(need, cell_len(column.label) + 2))


def _fill_needs(widths: dict[int, int], shares: Mapping[int, int], needs: Sequence[int], spare: int) -> int:
    """Widen the columns that need it, in proportion to their shares. Returns the width that is left."""
    while True:
        lacking = {index: share for index, share in shares.items() if widths[index] < needs[index]}
        total = sum(lacking.values())
        if not lacking or spare < total:
            return spare
        given = {index: min(spare * share // total, needs[index] - widths[index]) for index, share in lacking.items()}
        for index, more in given.items():
            widths[index] += more
        spare -= sum(given.values())


def _fitting_columns(columns: Sequence[TableColumn], width: int, gap: int) -> list[tuple[int, TableColumn]]:
    fitting = list(enumerate(columns))
    for rank in sorted({column.rank for column in columns if column.rank}, reverse=True):
        if sum(column.width + gap for _, column in fitting) - gap <= width:
            break
        fitting = [(index, column) for index, column in fitting if column.rank != rank]
    return fitting
