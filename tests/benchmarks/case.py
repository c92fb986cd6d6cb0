"""What is measured: cases, the stages of a task's path, and the results of one run of a case.

A case is a system that runs tasks: Cauce in some configuration, the bare libraries under it, or a peer.
It knows nothing of rounds, medians and tables.
"""

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec


class Stage(enum.StrEnum):
    """A part of a task's path. A stage ends when the case has made the promise in its name."""

    WHOLE = "submit → stored"
    ACCEPT = "submit → accepted"
    WORK = "queued → stored"
    MEANWHILE = "accepted meanwhile"
    """Of the tasks of `WHOLE`: from the first sent to the last accepted, while workers run tasks already accepted."""


class Group(enum.StrEnum):
    """Processes with the same function."""

    CLIENT = "client"
    NGINX = "nginx"
    SERVERS = "servers"
    RABBITMQ = "rabbitmq"
    WORKERS = "workers"
    ELSEWHERE = "elsewhere"
    """All else on the machine, with the operating system's work for disk and network."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured."""

    tasks: int
    """Tasks in each stage."""
    warm_up: int
    """Tasks before the first stage, not measured."""
    halves: bool
    """Whether the two halves of the path are also measured separately."""
    connections: int = 6
    """Connections of the client."""
    window: int = 400
    """Unanswered tasks per connection."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement of one stage of one case."""

    tasks: int
    seconds: float
    cpu: Mapping[Group, float]
    """Seconds of processor time by group."""

    @property
    def rate(self) -> float:
        """Tasks a second."""
        return self.tasks / self.seconds


Result: TypeAlias = Mapping[Stage, Measured]
"""The measurements of one run of a case; stages that were not measured are missing."""


class TasksLost(Exception):
    """A case lost tasks or did not finish: its measurements mean nothing."""


class Case(ABC):
    """A system to measure.

    Attributes:
        name: short, for the command line and the tables.
        description: what runs, in one line.
    """

    name: str
    description: str

    @abstractmethod
    def run(self, directory: Path, order: Order) -> Result:
        """Start everything in an empty directory, measure each stage once, and stop everything.

        Raises:
            TasksLost: not every task was stored.
        """
