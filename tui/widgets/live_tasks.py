"""The tasks of a list that grows, each in one place: one that ends once more leaves the place of the first time."""

from array import array
from collections.abc import Collection, Mapping

from core.repository.archive import TaskRow
from tui.task_feed import places_of, without
from tui.widgets.task_rows import TaskModel


class LiveTasks(TaskModel):
    """Takes in what a feed tells of a list that grows."""

    def renew(self, cut: int, seqs: "array[int]", rows: Mapping[int, TaskRow], again: Collection[int]) -> list[int]:
        """The last `cut` numbers are replaced by others; the places, before that, from which tasks were taken out.

        Args:
            cut: how many.
            seqs: the others.
            rows: of some of them.
            again: those of them that may stand further down already. They are looked for in the whole list, in one
                go for all of them, and only when there are any.
        """
        size = len(self._seqs)
        settled = max(0, size - cut)
        found = places_of(self._seqs, again, settled)
        if found:
            self._seqs = without(self._seqs[:settled], found)
            cut = 0
        self.grown(cut, seqs, rows)
        return [size - 1 - place for place in found]
