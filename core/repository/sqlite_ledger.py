"""The ledger in SQLite: the number of tasks in each state, updated in the transaction that moves the tasks."""

from collections.abc import Mapping

from core.database import Database
from core.model import State
from core.repository import rows


def read(database: Database) -> dict[str, int]:
    """Return the number of tasks in each stored state."""
    found = database.execute("SELECT state, tasks FROM ledger")
    return {rows.text(row[0]): rows.integer(row[1]) for row in found}


def update(database: Database, changes: Mapping[State, int]) -> None:
    """Add to the count of each state the tasks that a transaction has moved there, negative when they left it."""
    changed = [(change, state.value) for state, change in changes.items() if change]
    if changed:
        database.execute_many("UPDATE ledger SET tasks = tasks + ? WHERE state = ?", changed)
