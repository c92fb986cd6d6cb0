"""The tasks of a list that grows. Each is listed once: a task that ends again leaves its former row."""

from array import array
from collections.abc import Collection, Mapping

from core.repository.archive import TaskRow
from tui.task_feed import places_of, without
from tui.widgets.task_rows import TaskModel


class LiveTasks(TaskModel):
    """A model that follows the growth of a list."""

    def update_end(
        self, cut: int, seqs: "array[int]", rows: Mapping[int, TaskRow], again: Collection[int]
    ) -> list[int]:
        """Replace the last `cut` numbers. Returns the former indices of the tasks that were removed further down.

        Args:
            cut: how many numbers are replaced.
            seqs: the numbers that replace them.
            rows: the rows of some of these.
            again: those of `seqs` that may be listed further down already. The whole list is searched for them, once,
                and only when there are any.
        """
        size = len(self._seqs)
        settled = max(0, size - cut)
        found = places_of(self._seqs, again, settled)
        if found:
            self._seqs = without(self._seqs[:settled], found)
            cut = 0
        self.replace_end(cut, seqs, rows)
        return [size - 1 - index for index in found]
