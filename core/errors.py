"""The errors that Cauce raises: one root, a class for each subsystem, and leaves named by what to do next.

Each message is a sentence for the operator or user who must act on it.
`exit_code` is the exit code of a program that the error ends; core/README.md lists them.
"""

import re

_NUMBER = re.compile(r"^\[(?:Errno|WinError) -?\d+\] ")


def reason_of(error: BaseException) -> str:
    """Return what an error of the operating system or a library says, without a number that only programs need."""
    return _NUMBER.sub("", str(error)) or type(error).__name__


class CauceError(Exception):
    """The root of all errors that Cauce raises itself."""

    exit_code = 1


class ConfigurationError(CauceError):
    """A setting is wrong: correct it at the place that the message names."""

    exit_code = 2


class StreamUnusable(CauceError):
    """Standard input or output can't be used (closed, disk full): give the program another one."""

    exit_code = 74


class ProtocolError(CauceError):
    """One end of a connection violates the protocol."""


class LocalProtocolError(ProtocolError):
    """The caller asked to send what the protocol does not allow."""


class RemoteProtocolError(ProtocolError):
    """The other side sent what the protocol does not allow: close the connection."""


class BrokerError(CauceError):
    """An operation of the message broker failed."""

    exit_code = 3


class BrokerUnavailable(BrokerError):
    """The broker can't be reached now: try again later."""


class BrokerMisconfigured(BrokerError):
    """The broker refuses our queues, user name or password: the operator must mend it."""


class JournalError(CauceError):
    """An operation of the journal (the database of tasks and results) failed."""

    exit_code = 5


class JournalUnavailable(JournalError):
    """The journal can't be written now (locked, disk full, I/O error): nothing was stored, try again later."""


class JournalMissing(JournalUnavailable):
    """The journal does not exist yet: the first server or worker of the system creates it."""


class JournalUnusable(JournalError):
    """The journal can't be used as it is (too new, damaged, wrong file system): the operator must mend it."""


class SearchError(CauceError):
    """A search text can't be understood: write it as the message shows."""

    exit_code = 2


class StatementRefused(CauceError):
    """An SQL statement is wrong, or would do more than read the journal."""

    exit_code = 2


class TaskDefinitionError(CauceError):
    """A task function can't be registered or loaded: correct the module that defines it."""

    exit_code = 2


class TaskError(CauceError):
    """A task can't be run, or its outcome can't be stored."""


class UnknownKind(TaskError):
    """No function is registered for this kind of task."""


class ResultNotStorable(TaskError):
    """A task returned a value that JSON can't hold, or that is too large."""


class TaskTimeout(TaskError):
    """A task ran longer than its timeout."""


class TaskMemoryExceeded(TaskError):
    """A task needed more memory than its kind may have."""


class TaskInterrupted(TaskError):
    """The worker was stopped at once while this task ran. The task will run again on another worker."""


class ClientError(CauceError):
    """A request to a server failed."""


class ServerUnavailable(ClientError):
    """No server could be reached, or all were too busy. The task may be stored: retry with the same id."""

    exit_code = 75


class ServerUntrusted(ClientError):
    """The connection to a server can't be encrypted, or its certificate is not trusted: the user must mend it."""

    exit_code = 2


class RequestRefused(ClientError):
    """A server understood the request and refused it.

    Attributes:
        code: one of the protocol's error codes.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code


class TaskFailed(ClientError):
    """The task failed. The message is the failure's."""


class TaskCancelled(ClientError, TaskError):
    """The task was cancelled. It is raised in the task, if that runs, and for clients that wait for its result."""


class ResultNotReady(ClientError):
    """The task had not ended when the wait timed out. It may still end."""

    exit_code = 75


class SupervisorError(CauceError):
    """A local process could not be started, stopped or found."""


class AlreadyRunning(SupervisorError):
    """Another process holds this data directory or name."""

    exit_code = 4
