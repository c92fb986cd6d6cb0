"""Where a case takes place: its directory, its chance, how much is to be done, and what judges it."""

import random
from collections.abc import Callable
from pathlib import Path

import msgspec

from core.addresses import Address
from core.jsontext import Json
from tests.faults import books, honest, judge, ledger
from tests.faults.driver import Driver, Pace, is_honest, number_of
from tests.faults.judge import Allowance
from tests.faults.ledger import Ledger
from tests.faults.values import Finding, Invariant, Outcome, Profile
from tests.services.waiting import wait_until

DRAIN_SECONDS = 300.0
"""Seconds in which everything must have ended after the last fault."""


class Arena:
    """One case's place.

    Args:
        directory: its own, empty.
        profile: how much to do.
        seed: of everything that is left to chance.
        say: shows how far it is.

    Attributes:
        chance: draws what is left to chance.
        system: the directory of the system that is attacked.
        trace: the file in which each run of a task leaves a line.
    """

    def __init__(self, directory: Path, profile: Profile, seed: int, say: Callable[[str], None]) -> None:
        self.directory = directory
        self.profile = profile
        self.seed = seed
        self.say = say
        self.chance = random.Random(seed)  # noqa: S311 - it chooses faults
        self.system = directory / "system"
        self.system.mkdir(mode=0o700)
        self.trace = directory / "trace"
        self.ledger = Ledger(directory / "ledger")

    @property
    def tasks_module(self) -> str:
        """The file with the kinds that workers have to know."""
        return honest.__file__

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.system / "resultados.db"

    def size(self, quick: int, long: int) -> int:
        """How much to do in this profile."""
        return quick if self.profile is Profile.QUICK else long

    def payload(self, number: int, seconds: float = 0.0) -> Json:
        """What an honest task of this number is given."""
        return {"number": number, "trace": str(self.trace), "seconds": seconds}

    def driver(self, *servers: Address, pace: Pace, seconds: float = 0.0) -> Driver:
        """An honest client of these servers, whose tasks take so many seconds."""
        return Driver(servers, self.ledger, "honest", lambda number: self.payload(number, seconds), pace)

    def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Wait until everything has ended; what has not, the judge will see."""
        try:
            wait_until(lambda: books.unfinished(self.journal) == 0, "all tasks to end", seconds)
        except AssertionError as error:
            self.say(str(error))

    def judge(self, driver: Driver | None = None, allowance: Allowance | None = None, *, faults: int = 0) -> Outcome:
        """Say what holds, once everything is at rest.

        Args:
            driver: the honest client, whose troubles count.
            allowance: what is allowed.
            faults: how many were made.
        """
        outcome = judge.judge(
            ledger.read(self.ledger.path),
            books.read(self.journal),
            judge.count_runs(self.trace),
            _expected,
            allowance or Allowance(),
        )
        errors = driver.errors if driver is not None else ()
        broken = [Finding(Invariant.ANSWERED, f"the client gave up: {error}") for error in errors]
        return msgspec.structs.replace(
            outcome,
            faults=faults,
            broken=(*outcome.broken, *broken),
            remarks=(*outcome.remarks, *_slowest(driver)),
        )


def _expected(task_id: str) -> str | None:
    """The result of an honest task; a case has its own idea of others."""
    return f'"{honest.result_of(number_of(task_id))}"' if is_honest(task_id) else None


def _slowest(driver: Driver | None) -> list[str]:
    if driver is None or not driver.seconds:
        return []
    ordered = sorted(driver.seconds)
    return [
        f"answers p50 {_place(ordered, 0.5):.0f} ms, p99 {_place(ordered, 0.99):.0f} ms, longest {ordered[-1]:.1f} s"
    ]


def _place(ordered: list[float], part: float) -> float:
    return 1000 * ordered[min(len(ordered) - 1, int(part * len(ordered)))]
