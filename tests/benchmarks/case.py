"""What is measured: cases, the stages of a task's way, and what one run of one case gave.

A case is a system that tasks go through: ours in some arrangement, the bare libraries it is built on, or a peer.
It knows nothing of rounds, medians and tables.
"""

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec


class Stage(enum.StrEnum):
    """A part of a task's way. What a case calls by these names is what it has promised at their ends."""

    WHOLE = "submit → stored"
    ACCEPT = "submit → accepted"
    WORK = "queued → stored"
    MEANWHILE = "accepted meanwhile"
    """Of the tasks of `WHOLE`: from the first sent to the last accepted, while workers take what is there already."""


class Group(enum.StrEnum):
    """Processes that do the same thing."""

    CLIENT = "client"
    NGINX = "nginx"
    SERVERS = "servers"
    RABBITMQ = "rabbitmq"
    WORKERS = "workers"
    ELSEWHERE = "elsewhere"
    """All else that the machine did meanwhile, the system's own work for the disk and the network included."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """How much is to be done."""

    tasks: int
    """In each stage."""
    warm_up: int
    """Tasks before the first stage, which are not measured."""
    halves: bool
    """Whether the two halves of the way are measured by themselves too."""
    connections: int = 6
    """Of the client."""
    window: int = 400
    """How many tasks may be without an answer on each connection."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One stage of one case, measured once."""

    tasks: int
    seconds: float
    cpu: Mapping[Group, float]
    """Seconds of processor time by who took them."""

    @property
    def rate(self) -> float:
        """Tasks a second."""
        return self.tasks / self.seconds


Result: TypeAlias = Mapping[Stage, Measured]
"""What one run of a case gave; stages that the case has not, or that were not ordered, are missing."""


class Lost(Exception):
    """A case has lost tasks, or has not finished: its figures mean nothing."""


class Case(ABC):
    """A system to measure.

    Attributes:
        name: a short one, for the command line and the tables.
        description: what runs, in a line.
    """

    name: str
    description: str

    @abstractmethod
    def run(self, directory: Path, order: Order) -> Result:
        """Start everything in an empty directory, measure each stage once, and leave nothing behind.

        Raises:
            Lost: not every task came through.
        """
