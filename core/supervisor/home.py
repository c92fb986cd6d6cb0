"""The directory `.cauce` in the data directory, and the supervisor's files in it."""

import os
from pathlib import Path

from core import running_system
from core.errors import SupervisorError
from core.file_permissions import describe_foreign, foreign_owner

NAME = ".cauce"


class Home:
    """The paths of one data directory's supervisor. Making an instance touches no file.

    Attributes:
        directory: the data directory, absolute and without symbolic links.
        path: the supervisor's directory in it.
        lock: the file that the supervisor holds locked while it runs.
        state: the file with the supervisor's address and token.
        children: the file with the processes that it has started.
        desired_state: the file with what the operator asked to run.
        system: the file with what the programs in the directory must know of the running system.
        nginx: the directory that NGINX runs in.
        rabbitmq: the directory of the private RabbitMQ node.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self.path = self.directory / NAME
        self.lock = self.path / "supervisor.lock"
        self.state = self.path / "supervisor.json"
        self.children = self.path / "children.json"
        self.desired_state = self.path / "intention.json"
        self.system = self.directory / running_system.FILE
        self.nginx = self.path / "nginx"
        self.rabbitmq = self.path / "rabbitmq"
        self._logs = self.path / "logs"

    def log(self, name: str) -> Path:
        """Return the file that a process prints to."""
        return self._logs / f"{name}.log"

    def logs(self) -> list[Path]:
        """Return the existing log files, without the rotated ones."""
        return sorted(self._logs.glob("*.log"))

    def check_owner(self) -> None:
        """Check that the supervisor's directory, if there is one, is not that of another user.

        Raises:
            SupervisorError: it belongs to another user.
        """
        try:
            owner = foreign_owner(self.path)
        except OSError:
            return
        if owner:
            raise SupervisorError(describe_foreign(self.path, owner))

    def create(self) -> None:
        """Make the directories, accessible to their owner only.

        Raises:
            SupervisorError: a directory can't be made, or belongs to another user.
        """
        self.check_owner()
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=True)
            if os.name == "posix" and self.path.stat().st_mode & 0o077:
                self.path.chmod(0o700)
            self._logs.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise SupervisorError(f"can't prepare {self.path}: {error.strerror or error}") from error
