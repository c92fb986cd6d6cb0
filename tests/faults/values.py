"""The values of a campaign: profiles, invariants, findings and results."""

import enum

import msgspec


class Profile(enum.StrEnum):
    """How much a campaign does."""

    QUICK = "quick"
    """Runs with the tests."""
    LONG = "long"
    """Runs with the published numbers."""


class Invariant(enum.StrEnum):
    """What must hold under every fault."""

    NO_LOSS = "I1"
    """Each accepted task ends once the faults have stopped."""
    ONCE = "I2"
    """Each task has one row, with the outcome that its payload determines."""
    NOTHING_INVENTED = "I3"
    """The journal has no task that was not sent."""
    CONSERVED = "I4"
    """At rest, the ledger matches the rows, and the queue is empty."""
    RUNS = "I5"
    """Each task that is done ran at least once, and none ran more often than it may."""
    SOUND = "I6"
    """The journal passes its integrity check, and its write-ahead log is bounded."""
    CLEAN = "I7"
    """After the stop no process, port or growing memory is left."""
    ANSWERED = "I8"
    """Each request is answered, or its connection closed, in time."""
    HARMLESS = "I9"
    """Untrusted input is not interpreted, and no program dies of it."""
    SHOWN = "I10"
    """What the console shows is what is."""


class Finding(msgspec.Struct, frozen=True):
    """An invariant that did not hold."""

    invariant: Invariant
    text: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.text}"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one case."""

    tasks: int = 0
    """Accepted tasks, or other attempts that the case counts."""
    faults: int = 0
    """Kills, cuts and other faults."""
    lost: int = 0
    """Accepted tasks that have not ended."""
    stored_twice: int = 0
    run_twice: int = 0
    """Tasks that ran more than once, which is allowed but reported."""
    broken: tuple[Finding, ...] = ()
    """What did not hold."""
    remarks: tuple[str, ...] = ()
    """Measurements for the report."""


class CaseResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one case."""

    case: str
    target: str
    """What the case must show."""
    seed: int
    seconds: float
    outcome: Outcome

    @property
    def passed(self) -> bool:
        """Whether every invariant held."""
        return not self.outcome.broken


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The report of a campaign."""

    date: str
    command: str
    profile: Profile
    seed: int
    machine: str
    lines: tuple[CaseResult, ...]

    @property
    def passed(self) -> bool:
        """Whether every case passed."""
        return all(line.passed for line in self.lines)
