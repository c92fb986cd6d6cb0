"""What a case works with: its directory, random numbers, size, honest client and judge."""

import random
from collections.abc import Callable
from pathlib import Path

import msgspec

from core.addresses import Address
from core.jsontext import Json
from tests.faults import honest, journal_reader, judge, submission_log
from tests.faults.driver import Driver, Pace, is_honest, number_of
from tests.faults.judge import Allowance
from tests.faults.submission_log import SubmissionLog
from tests.faults.values import Finding, Invariant, Outcome, Profile
from tests.services.waiting import wait_until

BESIDE_OTHERS = 60
"""Further seconds that an answer may take in the quick profile, which runs beside other tests."""

DRAIN_TIMEOUT = 300.0
"""Seconds within which every task must end after the last fault."""


class CaseContext:
    """The context of one case.

    Args:
        directory: an empty one for this case only.
        profile: how much to do.
        seed: of the random numbers.
        show_progress: writes a line.

    Attributes:
        rng: the random numbers of the case.
        system: the directory of the system that is attacked.
        trace: the file to which each run of a task adds a line.
        submissions: the record of the honest client.
    """

    def __init__(self, directory: Path, profile: Profile, seed: int, show_progress: Callable[[str], None]) -> None:
        self.directory = directory
        self.profile = profile
        self.seed = seed
        self.show_progress = show_progress
        self.rng = random.Random(seed)  # noqa: S311 - it chooses faults
        self.system = directory / "system"
        self.system.mkdir(mode=0o700)
        self.trace = directory / "trace"
        self.submissions = SubmissionLog(directory / "ledger")

    @property
    def tasks_module(self) -> str:
        """The module of tasks that the workers load."""
        return honest.__file__

    @property
    def journal(self) -> Path:
        """The file of the journal."""
        return self.system / "resultados.db"

    def size(self, quick: int, long: int) -> int:
        """Return the number for this profile."""
        return quick if self.profile is Profile.QUICK else long

    def patience(self, seconds: float) -> float:
        """Return the seconds to allow for what takes at most `seconds` on a machine that does nothing else."""
        return seconds + self.size(BESIDE_OTHERS, 0)

    def payload(self, number: int, seconds: float = 0.0) -> Json:
        """Return the payload of an honest task."""
        return {"number": number, "trace": str(self.trace), "seconds": seconds}

    def driver(self, *servers: Address, pace: Pace, seconds: float = 0.0) -> Driver:
        """Make an honest client of these servers, whose tasks take so many seconds."""
        return Driver(servers, self.submissions, "honest", lambda number: self.payload(number, seconds), pace)

    def drain(self, seconds: float = DRAIN_TIMEOUT) -> None:
        """Wait until every task has ended. The judge will see the tasks that have not."""
        try:
            wait_until(lambda: journal_reader.unfinished(self.journal) == 0, "all tasks to end", seconds)
        except AssertionError as error:
            self.show_progress(str(error))

    def judge(self, driver: Driver | None = None, allowance: Allowance | None = None, *, faults: int = 0) -> Outcome:
        """Return the verdict on a system at rest.

        Args:
            driver: the honest client, whose errors are findings.
            allowance: what is allowed.
            faults: the number of faults made.
        """
        outcome = judge.judge(
            submission_log.read(self.submissions.path),
            journal_reader.read(self.journal),
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
            remarks=(*outcome.remarks, *_latencies(driver)),
        )


def _expected(task_id: str) -> str | None:
    """Return the result of an honest task; the result of another is not checked."""
    return f'"{honest.result_of(number_of(task_id))}"' if is_honest(task_id) else None


def _latencies(driver: Driver | None) -> list[str]:
    if driver is None or not driver.seconds:
        return []
    ordered = sorted(driver.seconds)
    p50, p99 = (_percentile(ordered, fraction) for fraction in (0.5, 0.99))
    return [f"answers p50 {p50:.0f} ms, p99 {p99:.0f} ms, longest {ordered[-1]:.1f} s"]


def _percentile(ordered: list[float], fraction: float) -> float:
    return 1000 * ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]
