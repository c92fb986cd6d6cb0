"""The directory `.cauce` beside the data, and what the supervisor keeps in it."""

import os
from pathlib import Path

from core.errors import SupervisorError

NAME = ".cauce"


class Home:
    """Where the supervisor of one data directory keeps its files. Making one touches nothing.

    Attributes:
        directory: the data directory, absolute and without symbolic links: what it is known by.
        path: the supervisor's own directory in it.
        lock: held by the supervisor as long as it lives.
        state: how to reach it.
        children: which processes it has started.
        intention: what it was asked to run.
        nginx: the directory that NGINX runs in.
        rabbitmq: the directory of the private RabbitMQ node.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self.path = self.directory / NAME
        self.lock = self.path / "supervisor.lock"
        self.state = self.path / "supervisor.json"
        self.children = self.path / "children.json"
        self.intention = self.path / "intention.json"
        self.nginx = self.path / "nginx"
        self.rabbitmq = self.path / "rabbitmq"
        self._logs = self.path / "logs"

    def log(self, name: str) -> Path:
        """The file that holds what a process prints."""
        return self._logs / f"{name}.log"

    def logs(self) -> list[Path]:
        """The logs that there are, without those set aside."""
        return sorted(self._logs.glob("*.log"))

    def create(self) -> None:
        """Make the directories, for their owner alone.

        Raises:
            SupervisorError: they can't be made.
        """
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=True)
            if os.name == "posix" and self.path.stat().st_mode & 0o077:
                self.path.chmod(0o700)
            self._logs.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise SupervisorError(f"can't prepare {self.path}: {error.strerror or error}") from error
