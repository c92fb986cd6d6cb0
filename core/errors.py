"""Every error that Cauce raises on purpose: one root, a class for each subsystem, leaves named by what to do next.

Each message is a sentence for the person who has to act on it.
`exit_code` is what a program ends with when the error reaches its top; the list is in the README.
"""


class CauceError(Exception):
    """Something that Cauce can explain went wrong."""

    exit_code = 1


class ConfigurationError(CauceError):
    """A setting is wrong: mend it at the place that the message names."""

    exit_code = 2


class ProtocolError(CauceError):
    """The two ends of a connection don't speak the same protocol."""


class LocalProtocolError(ProtocolError):
    """This side was asked to send what the protocol doesn't allow: a fault of the caller."""


class RemoteProtocolError(ProtocolError):
    """The other side sent what the protocol doesn't allow: close the connection."""


class BrokerError(CauceError):
    """The message broker can't do what was asked."""

    exit_code = 3


class BrokerUnavailable(BrokerError):
    """The broker can't be reached now: try again later."""


class BrokerMisconfigured(BrokerError):
    """The broker refuses our queues, name or password: a person has to mend it."""


class JournalError(CauceError):
    """The journal (the database of tasks and results) can't do what was asked."""

    exit_code = 5


class JournalUnavailable(JournalError):
    """The journal can't be written now (locked, disk full, I/O error): nothing was stored, try again later."""


class JournalMissing(JournalUnavailable):
    """There is no journal yet: the first server or worker of the system makes it."""


class JournalUnusable(JournalError):
    """The journal can't be used as it is (too new, damaged, wrong file system): a person has to mend it."""


class SearchError(CauceError):
    """What was typed to look for can't be understood: write it as the message says."""

    exit_code = 2


class TaskDefinitionError(CauceError):
    """A task function can't be registered or loaded: mend the module that defines it."""

    exit_code = 2


class TaskError(CauceError):
    """A task can't be run or its outcome can't be stored."""


class UnknownKind(TaskError):
    """No function is registered for this kind of task."""


class ResultNotStorable(TaskError):
    """A task returned something that JSON can't hold, or that is too large."""


class TaskTimeout(TaskError):
    """A task ran longer than its time-out allows."""


class TaskInterrupted(TaskError):
    """The worker was told to leave at once while this task ran; the task will run again elsewhere."""


class ClientError(CauceError):
    """A request to a server did not succeed."""


class ServerUnavailable(ClientError):
    """No server could be reached, or each was too busy: nothing is known to be stored, retry with the same id."""

    exit_code = 75


class ServerUntrusted(ClientError):
    """The connection to a server can't be encrypted, or its certificate not be trusted: a person has to mend it."""

    exit_code = 2


class RequestRefused(ClientError):
    """A server understood the request and refused it.

    Attributes:
        code: one of the closed list of the protocol's error codes.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code


class TaskFailed(ClientError):
    """The task ended as failed; the message is the failure's."""


class TaskCancelled(ClientError):
    """The task was cancelled before it ran."""


class ResultNotReady(ClientError):
    """The task had not ended when the time to wait was over; it is still on its way."""

    exit_code = 75


class SupervisorError(CauceError):
    """A local process could not be started, stopped or found."""


class AlreadyRunning(SupervisorError):
    """Another process holds this data directory or name."""

    exit_code = 4
