"""What a case of the campaign is, and what it tells. Values only."""

import enum

import msgspec


class Profile(enum.StrEnum):
    """How much is done."""

    QUICK = "quick"
    """With every run of the tests."""
    LONG = "long"
    """With the numbers that are promised."""


class Invariant(enum.StrEnum):
    """What must hold whatever happens."""

    NO_LOSS = "I1"
    """Each task that was answered *accepted* has ended once the faults have stopped."""
    ONCE = "I2"
    """Each task has one row, and its outcome is the one that its payload asks for."""
    NOTHING_INVENTED = "I3"
    """No task is in the books that nobody sent."""
    CONSERVED = "I4"
    """At rest, the books add up, and the queue holds nothing."""
    RUNS = "I5"
    """Each task that is done ran at least once, and none ran more often than it may."""
    SOUND = "I6"
    """The journal passes its integrity check, and its write-ahead log is bounded."""
    CLEAN = "I7"
    """After the stop no process, port or growing memory is left."""
    ANSWERED = "I8"
    """Each request is answered, or its connection closed, within its time."""
    HARMLESS = "I9"
    """Nothing untrusted is interpreted, and nobody's program dies of it."""


class Finding(msgspec.Struct, frozen=True):
    """An invariant that did not hold."""

    invariant: Invariant
    text: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.text}"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one case came to."""

    tasks: int = 0
    """Tasks that were accepted, or whatever else the case counts its tries in."""
    faults: int = 0
    """Kills, cuts and other faults that were made."""
    lost: int = 0
    """Tasks that were accepted and have not ended."""
    stored_twice: int = 0
    run_twice: int = 0
    """Tasks that ran more than once, which is allowed, and never hidden."""
    broken: tuple[Finding, ...] = ()
    """What did not hold; empty when all is well."""
    remarks: tuple[str, ...] = ()
    """Figures that are worth knowing."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One case in the report."""

    case: str
    target: str
    """What it has to show."""
    seed: int
    seconds: float
    outcome: Outcome

    @property
    def passed(self) -> bool:
        """Whether all held."""
        return not self.outcome.broken


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One campaign."""

    date: str
    command: str
    profile: Profile
    seed: int
    machine: str
    lines: tuple[Line, ...]

    @property
    def passed(self) -> bool:
        """Whether every case did."""
        return all(line.passed for line in self.lines)
