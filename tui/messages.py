"""The messages to the screen. Tabs and widgets only ask: the screen is the one place that acts."""

from collections.abc import Callable, Sequence

from textual.message import Message

from core.client import NewSubmission
from core.jsontext import Json
from core.repository.archive import BulkAction
from core.repository.search import Search, SortOrder
from tui.log_feed import LogBatch
from tui.payload_fields import Field
from tui.system_control import Operation
from tui.task_feed import News
from tui.view import View


class ViewTaken(Message):
    """The poller has a new view."""

    def __init__(self, view: View) -> None:
        super().__init__()
        self.view = view


class TasksRead(Message):
    """A feed has read tasks."""

    def __init__(self, name: str, news: News) -> None:
        super().__init__()
        self.name = name
        self.news = news


class LogsRead(Message):
    """Log lines were read."""

    def __init__(self, news: LogBatch) -> None:
        super().__init__()
        self.news = news


class SearchRequested(Message):
    """A table asks for the tasks of a search."""

    def __init__(self, feed: str, search: Search, order: SortOrder) -> None:
        super().__init__()
        self.feed = feed
        self.search = search
        self.order = order


class RowsRequested(Message):
    """A table asks for the rows of tasks."""

    def __init__(self, feed: str, seqs: Sequence[int] = (), ids: Sequence[str] = ()) -> None:
        super().__init__()
        self.feed = feed
        self.seqs = tuple(seqs)
        self.ids = tuple(ids)


class DetailRequested(Message):
    """A widget asks for the details of a task."""

    def __init__(self, seq: int) -> None:
        super().__init__()
        self.seq = seq


class LogsRequested(Message):
    """A widget asks for the logs of processes; None means all."""

    def __init__(self, names: Sequence[str] | None) -> None:
        super().__init__()
        self.names = names


class SubmitRequested(Message):
    """The form asks to submit a task."""

    def __init__(self, task: NewSubmission) -> None:
        super().__init__()
        self.task = task


class BulkSubmitRequested(Message):
    """The form asks to submit each line of the text as a task; without a text, of a file that the user will name."""

    def __init__(self, task: NewSubmission, *, text: str | None = None, as_text: bool = False) -> None:
        super().__init__()
        self.task = task
        self.text = text
        self.as_text = as_text


class LoadRequested(Message):
    """The form asks to submit many tasks like this one, with the options of a dialog."""

    def __init__(self, task: NewSubmission) -> None:
        super().__init__()
        self.task = task


class EditRequested(Message):
    """The form asks to edit a text in the user's editor."""

    def __init__(self, text: str, done: Callable[[str], None]) -> None:
        super().__init__()
        self.text = text
        self.done = done


class FieldsRequested(Message):
    """The form asks for the fields of a payload. `done` gets the payload, or None when the user cancels."""

    def __init__(
        self, kind: str, fields: Sequence[Field], payload: Json, done: Callable[[dict[str, Json] | None], None]
    ) -> None:
        super().__init__()
        self.kind = kind
        self.fields = fields
        self.payload = payload
        self.done = done


class OperationRequested(Message):
    """A panel asks to start, stop, restart or kill processes."""

    def __init__(self, operation: Operation, names: Sequence[str]) -> None:
        super().__init__()
        self.operation: Operation = operation
        self.names = tuple(names)


class ScaleRequested(Message):
    """A panel asks to run this number of servers, or of workers."""

    def __init__(self, servers: int | None = None, workers: int | None = None) -> None:
        super().__init__()
        self.servers = servers
        self.workers = workers


class BulkActionRequested(Message):
    """A table asks to retry or discard failed tasks."""

    def __init__(self, action: BulkAction, seqs: Sequence[int], scope: str) -> None:
        super().__init__()
        self.action = action
        self.seqs = seqs
        self.scope = scope
        """A sentence on what the tasks are chosen from, or an empty text."""


class UndoRequested(Message):
    """A table asks to undo the last retry or discard."""


class ExportRequested(Message):
    """A table asks to write the tasks of a search to a file."""

    def __init__(self, search: Search, order: SortOrder) -> None:
        super().__init__()
        self.search = search
        self.order = order


class CopyRequested(Message):
    """A widget asks to copy a text to the clipboard."""

    def __init__(self, text: str, what: str) -> None:
        super().__init__()
        self.text = text
        self.what = what
        """What the text is, for the notification."""


class WorkerSelected(Message):
    """The user has selected a worker to see its results; an empty name means all workers."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class NotificationRequested(Message):
    """A widget asks to show a notification."""

    def __init__(self, text: str, *, trouble: bool = False) -> None:
        super().__init__()
        self.text = text
        self.trouble = trouble
