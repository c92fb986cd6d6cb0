"""What a table shows, without drawing it: columns and their widths, cells, and models of rows.

A model knows how many rows there are, the key of each, and its cells, which may not be known yet.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import TypeAlias

import msgspec

WIDE = 100
"""Characters from which on two blanks part the columns; one does in a narrower table."""


class TableColumn(msgspec.Struct, frozen=True, kw_only=True):
    """One column."""

    key: str
    label: str
    width: int
    """Characters, at least."""
    right: bool = False
    grow: int = 0
    """Which part of the room that is left it takes."""
    rank: int = 0
    """Columns of the highest rank are left out first where there is no room for all."""
    sortable: bool = True


class Cell(msgspec.Struct, frozen=True):
    """What stands in one place."""

    text: str
    """Clean: nothing of it is interpreted."""
    style: str = ""
    """`good`, `bad`, `warn`, `dim` or `accent`; empty for plain."""


Row: TypeAlias = Sequence[Cell]

EMPTY_CELL = Cell("")


class TableModel(ABC):
    """Rows by their place, from 0."""

    @abstractmethod
    def __len__(self) -> int:
        """How many rows there are."""

    @abstractmethod
    def key(self, place: int) -> Hashable:
        """What the row is known by, wherever it stands."""

    @abstractmethod
    def place(self, key: Hashable) -> int | None:
        """Where the row of a key stands now; None when that isn't known, or it is gone."""

    @abstractmethod
    def row(self, place: int) -> Row | None:
        """The cells of a row, in the order of the columns; None when they are not known yet."""

    def marked(self, place: int) -> bool:
        """Whether a person has marked the row."""
        return False

    def differing(self, other: "TableModel") -> list[int] | None:
        """The places at which the rows look different from those of another model, if both have the same rows.

        None when they have not, or that can't be told.
        """
        return None


class ListModel(TableModel):
    """Rows that are all known: keys and cells."""

    def __init__(self, rows: Sequence[tuple[Hashable, Row]] = ()) -> None:
        self.rows = list(rows)
        self._places = {key: place for place, (key, _) in enumerate(self.rows)}

    def __len__(self) -> int:
        return len(self.rows)

    def differing(self, other: TableModel) -> list[int] | None:
        """The places at which the cells are different, if the keys are the same."""
        if not isinstance(other, ListModel) or [key for key, _ in self.rows] != [key for key, _ in other.rows]:
            return None
        pairs = zip(self.rows, other.rows, strict=True)
        return [place for place, (one, another) in enumerate(pairs) if one != another]

    def key(self, place: int) -> Hashable:
        """What the row is known by."""
        return self.rows[place][0]

    def place(self, key: Hashable) -> int | None:
        """Where the row of a key stands now."""
        return self._places.get(key)

    def row(self, place: int) -> Row | None:
        """The cells of a row."""
        return self.rows[place][1]


class ColumnLayout(msgspec.Struct, frozen=True):
    """The columns for which there is room, from left to right."""

    gap: int
    """Blanks between two columns."""
    columns: tuple[tuple[int, TableColumn, int], ...]
    """The place of each among all columns, the column, and its width."""

    @property
    def width(self) -> int:
        """Characters that they take together."""
        return sum(width + self.gap for _, _, width in self.columns) - self.gap


def lay_out(columns: Sequence[TableColumn], width: int) -> ColumnLayout:
    """Give every column for which there is room its width."""
    gap = 2 if width >= WIDE else 1
    kept = _that_fit(columns, width, gap)
    room = width - sum(column.width + gap for _, column in kept) + gap
    parts = sum(column.grow for _, column in kept)
    laid_out = []
    for place, column in kept:
        more = room * column.grow // parts if parts and room > 0 else 0
        laid_out.append((place, column, column.width + more))
    return ColumnLayout(gap, tuple(laid_out))


def _that_fit(columns: Sequence[TableColumn], width: int, gap: int) -> list[tuple[int, TableColumn]]:
    kept = list(enumerate(columns))
    for rank in sorted({column.rank for column in columns if column.rank}, reverse=True):
        if sum(column.width + gap for _, column in kept) - gap <= width:
            break
        kept = [(place, column) for place, column in kept if column.rank != rank]
    return kept
