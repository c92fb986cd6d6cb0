"""What the parts of the console say to the screen. They only say it: the screen is the one place that has it done."""

from collections.abc import Callable, Sequence

from textual.message import Message

from core.client import NewSubmission
from core.repository.archive import BulkAction
from core.repository.search import Search, SortOrder
from tui.log_feed import LogBatch
from tui.system_control import Operation
from tui.task_feed import News
from tui.view import View


class ViewTaken(Message):
    """The poller has looked at the system."""

    def __init__(self, view: View) -> None:
        super().__init__()
        self.view = view


class TasksRead(Message):
    """A feed has found tasks."""

    def __init__(self, name: str, news: News) -> None:
        super().__init__()
        self.name = name
        self.news = news


class LogsRead(Message):
    """Lines of logs were read."""

    def __init__(self, news: LogBatch) -> None:
        super().__init__()
        self.news = news


class SearchRequested(Message):
    """A table wants other tasks."""

    def __init__(self, feed: str, search: Search, order: SortOrder) -> None:
        super().__init__()
        self.feed = feed
        self.search = search
        self.order = order


class RowsRequested(Message):
    """A table wants the rows of these tasks."""

    def __init__(self, feed: str, seqs: Sequence[int] = (), ids: Sequence[str] = ()) -> None:
        super().__init__()
        self.feed = feed
        self.seqs = tuple(seqs)
        self.ids = tuple(ids)


class DetailRequested(Message):
    """Everything about a task is wanted."""

    def __init__(self, seq: int) -> None:
        super().__init__()
        self.seq = seq


class LogsRequested(Message):
    """The logs of these processes are wanted; of all when None."""

    def __init__(self, names: Sequence[str] | None) -> None:
        super().__init__()
        self.names = names


class SubmitRequested(Message):
    """A task is to be submitted."""

    def __init__(self, task: NewSubmission) -> None:
        super().__init__()
        self.task = task


class BulkSubmitRequested(Message):
    """Each line of a text, or else of a file that is to be named, is to be submitted as a task."""

    def __init__(self, task: NewSubmission, *, text: str | None = None, as_text: bool = False) -> None:
        super().__init__()
        self.task = task
        self.text = text
        self.as_text = as_text


class LoadRequested(Message):
    """Many tasks like this one are to be submitted, as a dialog will say."""

    def __init__(self, task: NewSubmission) -> None:
        super().__init__()
        self.task = task


class EditRequested(Message):
    """A text is to be changed in the person's own editor."""

    def __init__(self, text: str, done: Callable[[str], None]) -> None:
        super().__init__()
        self.text = text
        self.done = done


class OperationRequested(Message):
    """Processes are to be started, stopped, restarted or killed."""

    def __init__(self, what: Operation, names: Sequence[str]) -> None:
        super().__init__()
        self.what: Operation = what
        self.names = tuple(names)


class ScaleRequested(Message):
    """There are to be so many servers, or workers."""

    def __init__(self, servers: int | None = None, workers: int | None = None) -> None:
        super().__init__()
        self.servers = servers
        self.workers = workers


class BulkActionRequested(Message):
    """Failed tasks are to be retried, or discarded."""

    def __init__(self, act: BulkAction, seqs: Sequence[int], matching: int) -> None:
        super().__init__()
        self.act = act
        self.seqs = seqs
        self.matching = matching
        """How many the filter finds."""


class UndoRequested(Message):
    """The last retry or discard is to be taken back."""


class ExportRequested(Message):
    """What a search finds is to be written to a file."""

    def __init__(self, search: Search, order: SortOrder, count: int) -> None:
        super().__init__()
        self.search = search
        self.order = order
        self.count = count


class CopyRequested(Message):
    """A text is to be copied to the clipboard."""

    def __init__(self, text: str, what: str) -> None:
        super().__init__()
        self.text = text
        self.what = what
        """What it is, in a word."""


class WorkerSelected(Message):
    """The results of one worker are wanted."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class NotificationRequested(Message):
    """Something is to be said to the person."""

    def __init__(self, text: str, *, trouble: bool = False) -> None:
        super().__init__()
        self.text = text
        self.trouble = trouble
