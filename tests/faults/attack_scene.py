"""The scene of hostile clients: a server under attack, a worker, and an honest client whose tasks must not suffer.

Ids distinguish the attackers' tasks from the honest ones; only the honest ones are judged.
"""

import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import psutil

from core.addresses import Address
from tests.faults import honest, journal_reader, judge, rigged, submission_log
from tests.faults.context import CaseContext
from tests.faults.driver import ANSWER_TIMEOUT, Driver, Pace, number_of
from tests.faults.journal_reader import JournalContents
from tests.faults.judge import Allowance
from tests.faults.values import Finding, Invariant, Outcome
from tests.services.system import LocalSystem
from tests.services.waiting import wait_until

MIB = 1024 * 1024
RATE = 50.0
"""Honest tasks a second."""

MAX_LOG_BYTES = 256 * 1024
"""Bytes that a server may write to its log during an attack."""

MAX_SLOWDOWN, SLOW_ANSWER = 10.0, 1.0
"""Honest answers are too slow when they take so many times as long as before, and so many seconds."""

MAX_ANSWER_TIME = 2 * ANSWER_TIMEOUT
"""Longest time for an honest answer, in seconds: its request was sent twice by then."""

SERVER = "s1"
_HONEST = re.compile(r"t-\d+")
_SAMPLE_INTERVAL = 0.05


class ProcessUsage(msgspec.Struct, frozen=True):
    """The memory and descriptors of a process."""

    memory: int
    descriptors: int


ENOUGH = 5
"""Accepted honest tasks that show that a server works."""


class AttackScene:
    """A system under attack.

    Args:
        context: of the case.
        flags: of the server.
        token: that the server requires.
        rate: honest tasks a second.
        answer_timeout: seconds after which the honest client gives up a connection that does not answer.
        server: the program of the server, broken in a control.

    Attributes:
        broken: the findings.
        remarks: measurements.
        tries: the number of attempts of the attackers.
        process: the server process.
    """

    def __init__(
        self,
        context: CaseContext,
        *flags: str,
        token: str | None = None,
        rate: float = RATE,
        answer_timeout: float = ANSWER_TIMEOUT,
        server: str = rigged.SERVER,
    ) -> None:
        self.context = context
        self.broken: list[Finding] = []
        self.remarks: list[str] = []
        self.tries = 0
        self._token = token
        if token is not None:
            flags = (*flags, "--token-file", str(_token_file(context.directory, token)))
        self._system = LocalSystem(
            context.system,
            server_program=server,
            server_arguments=("--shutdown-timeout", "2", *flags),
            worker_arguments=("--tasks", context.tasks_module),
        )
        self._rate = rate
        self._answer_timeout = answer_timeout
        self._samples: list[ProcessUsage] = []
        self._stopped = threading.Event()
        self._sampler = threading.Thread(target=self._sample, name="watch")
        self._seconds_before: list[float] = []
        self._accepted_before = 0

    def __enter__(self) -> Self:
        self._system.__enter__()
        try:
            self.process = psutil.Process(self._system.process(SERVER).pid)
            pace = Pace(rate=self._rate, answer_timeout=self._answer_timeout)
            self._driver = Driver(
                [self.address], self.context.submissions, "honest", lambda n: self.context.payload(n), pace, self._token
            )
            self._driver.start()
            self._sampler.start()
            self.wait(self.context.size(1, 5))
        except BaseException:
            self._system.__exit__(*sys.exc_info())
            raise
        self._seconds_before = list(self._driver.seconds)
        self.before = self.usage()
        self._samples.clear()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._sampler.join()
        try:
            self._driver.end()
            if error is None:
                self._drain()
        finally:
            self._system.__exit__(kind, error, trace)

    @property
    def address(self) -> Address:
        """The address of the server."""
        return self._system.address(SERVER)

    @property
    def accepted(self) -> int:
        """The number of accepted honest tasks."""
        return self._driver.accepted

    @property
    def alive(self) -> bool:
        """Whether the server process is still running."""
        return self._system.process(SERVER).poll() is None

    def restart(self) -> None:
        """Start the server again after it died."""
        self._system.kill(SERVER)
        self._system.start(SERVER)

    def usage(self) -> ProcessUsage:
        """Return the memory and descriptors of the server."""
        descriptors = 0 if sys.platform == "win32" else self.process.num_fds()
        return ProcessUsage(self.process.memory_info().rss, descriptors)

    @property
    def peak(self) -> int:
        """The largest growth of the server's memory since the beginning, in bytes."""
        return max((sample.memory for sample in self._samples), default=self.before.memory) - self.before.memory

    @property
    def late_growth(self) -> int:
        """The growth of the largest memory from the first to the second half of the samples, in bytes."""
        middle = len(self._samples) // 2
        halves = (self._samples[:middle], self._samples[middle:])
        first, second = (max((sample.memory for sample in half), default=0) for half in halves)
        return second - first if first else 0

    def expect(self, holds: bool, invariant: Invariant, text: str) -> None:
        """Add a finding unless the condition holds."""
        if not holds:
            self.broken.append(Finding(invariant, text))

    def wait(self, seconds: float) -> None:
        """Wait while honest tasks go on."""
        until = time.monotonic() + seconds
        wait_until(lambda: time.monotonic() >= until, "the time to pass", seconds + 5.0)

    def mark_accepted(self) -> None:
        """Record the number of accepted honest tasks, for `recovered`."""
        self._accepted_before = self.accepted

    @property
    def recovered(self) -> bool:
        """Whether more honest tasks were accepted since `mark_accepted`."""
        return self.accepted >= self._accepted_before + ENOUGH

    def await_honest(self, count: int = ENOUGH, seconds: float = 60.0) -> None:
        """Expect more honest tasks to be accepted."""
        wanted = self.accepted + count
        try:
            wait_until(lambda: self.accepted >= wanted, "honest tasks", seconds)
        except AssertionError as error:
            self.broken.append(Finding(Invariant.ANSWERED, f"after the attack: {error}"))

    def expect_flat_memory(self, max_bytes: int, what: str = "the attack") -> None:
        """Expect the server's memory to have grown by at most so many bytes."""
        self.remarks.append(f"memory +{self.peak / MIB:.0f} MiB at most, of {self.before.memory / MIB:.0f}")
        self.expect(self.peak <= max_bytes, Invariant.CLEAN, f"{what} took {self.peak / MIB:.0f} MiB")

    def expect_released(self) -> None:
        """Expect the server to have as many descriptors as before, soon."""
        self.expect_descriptors(self.before.descriptors + 3)

    def expect_descriptors(self, limit: int, seconds: float = 60.0) -> None:
        """Expect the server to have at most so many descriptors, soon."""
        try:
            wait_until(lambda: self.usage().descriptors <= limit, "descriptors to be released", seconds)
        except AssertionError as error:
            held = self.usage().descriptors
            self.broken.append(Finding(Invariant.CLEAN, f"{error}: {held}, not {limit}"))

    def outcome(self, *, may_die: bool = False) -> Outcome:
        """Return the outcome, after the block.

        Args:
            may_die: whether the server may run out of memory and log that.
        """
        self._compare(allowed=may_die)
        log = self._system.log(SERVER)
        if not may_die:
            self.expect("Traceback" not in log, Invariant.HARMLESS, "there is a traceback in the server's log")
        self.expect(len(log) < MAX_LOG_BYTES, Invariant.HARMLESS, f"the server's log has {len(log):,} characters")
        contents = journal_reader.read(self.context.journal)
        _, honest_tasks = split(contents)
        outcome = judge.judge(
            submission_log.read(self.context.submissions.path),
            honest_tasks,
            judge.count_runs(self.context.trace),
            lambda task_id: f'"{honest.result_of(number_of(task_id))}"',
            Allowance(),
        )
        gave_up = [Finding(Invariant.ANSWERED, f"the honest client gave up: {error}") for error in self._driver.errors]
        return msgspec.structs.replace(
            outcome,
            faults=self.tries,
            broken=(*outcome.broken, *self.broken, *gave_up),
            remarks=(*outcome.remarks, *self.remarks),
        )

    def _compare(self, *, allowed: bool) -> None:
        """Compare the honest client's answers with those before the attack."""
        during = self._driver.seconds[len(self._seconds_before) :]
        if not during or not self._seconds_before:
            self.expect(bool(during), Invariant.ANSWERED, "the honest client had no answer during the attack")
            return
        former, now, longest = _percentile_99(self._seconds_before), _percentile_99(during), max(during)
        text = f"{1000 * former:.0f} ms before, {1000 * now:.0f} ms under attack, longest {longest:.1f} s"
        self.remarks.append(f"honest answers: p99 {text}")
        too_slow = not allowed and now > MAX_SLOWDOWN * former and now > self.context.patience(SLOW_ANSWER)
        self.expect(not too_slow, Invariant.ANSWERED, f"honest answers took {now:.1f} s, before {former:.3f} s")
        # The honest client has one open request: while it is blocked, one answer is late, which no percentile shows.
        blocked = not allowed and longest > self.context.patience(MAX_ANSWER_TIME)
        self.expect(not blocked, Invariant.ANSWERED, f"the honest client was blocked for {longest:.1f} s")

    def _drain(self) -> None:
        try:
            wait_until(
                lambda: not journal_reader.has_unfinished_honest(self.context.journal), "the honest tasks to end", 60.0
            )
        except AssertionError as error:
            self.context.show_progress(str(error))

    def _sample(self) -> None:
        while not self._stopped.wait(_SAMPLE_INTERVAL):
            try:
                self._samples.append(self.usage())
            except psutil.Error:
                return


def attack_case(
    attack: Callable[[AttackScene], None],
    *flags: str,
    token: str | None = None,
    answer_timeout: float = ANSWER_TIMEOUT,
    server: str = rigged.SERVER,
) -> Callable[[CaseContext], Outcome]:
    """Make a case of an attack.

    Args:
        attack: the attack.
        flags: of the server.
        token: that the server requires.
        answer_timeout: seconds after which the honest client gives up a connection that does not answer.
        server: the program of the server, broken in a control.
    """

    def run(context: CaseContext) -> Outcome:
        with AttackScene(context, *flags, token=token, answer_timeout=answer_timeout, server=server) as scene:
            attack(scene)
            scene.expect(scene.alive, Invariant.HARMLESS, "the server died")
            scene.await_honest()
        return scene.outcome()

    return run


def split(contents: JournalContents) -> tuple[JournalContents, JournalContents]:
    """Split a journal into the attackers' tasks and the honest ones."""
    honest_tasks = {row.id: row for row in contents.rows.values() if _HONEST.fullmatch(row.id)}
    attackers = {row.id: row for row in contents.rows.values() if row.id not in honest_tasks}
    states = Counter(row.state for row in attackers.values())
    others = {state: count - states[state] for state, count in contents.ledger.items()}
    return (
        msgspec.structs.replace(contents, rows=attackers, count=len(attackers), ledger=dict(states)),
        msgspec.structs.replace(contents, rows=honest_tasks, count=contents.count - len(attackers), ledger=others),
    )


def _percentile_99(seconds: list[float]) -> float:
    ordered = sorted(seconds)
    return ordered[int(0.99 * (len(ordered) - 1))]


def _token_file(directory: Path, token: str) -> Path:
    path = directory / "token"
    path.write_text(token + "\n", "utf-8")
    path.chmod(0o600)
    return path
