"""One server under attack, a worker, and an honest client whose tasks must not suffer: the scene of hostile clients.

The attackers' own tasks are told from the honest ones by their ids; only the latter are judged.
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
from tests.faults import books, honest, judge, ledger, rigged
from tests.faults.arena import Arena
from tests.faults.books import Books
from tests.faults.driver import ANSWER_WITHIN, Driver, Pace, number_of
from tests.faults.judge import Allowance
from tests.faults.values import Finding, Invariant, Outcome
from tests.services.system import LocalSystem
from tests.services.waiting import wait_until

MIB = 1024 * 1024
RATE = 50.0
"""Honest tasks a second."""

MOST_LOG = 256 * 1024
"""Bytes that a server may write into its log, whatever is done to it."""

WILD_RATIO, WILD_SECONDS = 10.0, 1.0
"""An honest answer is far too late when it takes so many times as long as before, and so many seconds."""

HELD_UP_SECONDS = 2 * ANSWER_WITHIN
"""Seconds for which no honest answer may be held up: it was asked for twice by then."""

SERVER = "s1"
_HONEST = re.compile(r"t-\d+")
_LOOK = 0.05


class Figures(msgspec.Struct, frozen=True):
    """What a process holds."""

    memory: int
    descriptors: int


ENOUGH = 5
"""Honest tasks that are accepted where a server works."""


class Siege:
    """The scene.

    Args:
        arena: where.
        flags: of the server.
        token: what it wants to see.
        rate: honest tasks a second.
        server: the server's program, which a control has broken.

    Attributes:
        broken: what did not hold.
        remarks: figures.
        tries: what the attackers count.
        process: the server's.
    """

    def __init__(
        self, arena: Arena, *flags: str, token: str | None = None, rate: float = RATE, server: str = rigged.SERVER
    ) -> None:
        self.arena = arena
        self.broken: list[Finding] = []
        self.remarks: list[str] = []
        self.tries = 0
        self._token = token
        if token is not None:
            flags = (*flags, "--token-file", str(_token_file(arena.directory, token)))
        self._system = LocalSystem(
            arena.system,
            server_program=server,
            server_arguments=("--shutdown-timeout", "2", *flags),
            worker_arguments=("--tasks", arena.tasks_module),
        )
        self._rate = rate
        self._samples: list[Figures] = []
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, name="watch")
        self._former: list[float] = []
        self._accepted_before = 0

    def __enter__(self) -> Self:
        self._system.__enter__()
        try:
            self.process = psutil.Process(self._system.process(SERVER).pid)
            pace = Pace(rate=self._rate)
            self._driver = Driver(
                [self.address], self.arena.ledger, "honest", lambda n: self.arena.payload(n), pace, self._token
            )
            self._driver.start()
            self._watch.start()
            self.rest(self.arena.size(1, 5))
        except BaseException:
            self._system.__exit__(*sys.exc_info())
            raise
        self._former = list(self._driver.seconds)
        self.before = self.figures()
        self._samples.clear()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._watch.join()
        try:
            self._driver.end()
            if error is None:
                self._drain()
        finally:
            self._system.__exit__(kind, error, trace)

    @property
    def address(self) -> Address:
        """Of the server."""
        return self._system.address(SERVER)

    @property
    def accepted(self) -> int:
        """Honest tasks until now."""
        return self._driver.accepted

    @property
    def alive(self) -> bool:
        """Whether the server is the one that was there at the beginning."""
        return self._system.process(SERVER).poll() is None

    def restart(self) -> None:
        """Start the server again, after it died."""
        self._system.kill(SERVER)
        self._system.start(SERVER)

    def figures(self) -> Figures:
        """What the server holds now."""
        descriptors = 0 if sys.platform == "win32" else self.process.num_fds()
        return Figures(self.process.memory_info().rss, descriptors)

    @property
    def peak(self) -> int:
        """Bytes by which the server's memory grew at most since the beginning."""
        return max((sample.memory for sample in self._samples), default=self.before.memory) - self.before.memory

    @property
    def late_growth(self) -> int:
        """Bytes by which the most of the second half is above the most of the first."""
        middle = len(self._samples) // 2
        halves = (self._samples[:middle], self._samples[middle:])
        first, second = (max((sample.memory for sample in half), default=0) for half in halves)
        return second - first if first else 0

    def expect(self, holds: bool, invariant: Invariant, text: str) -> None:
        """Note a finding unless it holds."""
        if not holds:
            self.broken.append(Finding(invariant, text))

    def rest(self, seconds: float) -> None:
        """Let honest tasks go on for a while."""
        until = time.monotonic() + seconds
        wait_until(lambda: time.monotonic() >= until, "the time to pass", seconds + 5.0)

    def begin_again(self) -> None:
        """Note how many honest tasks were accepted by now, for `recovered`."""
        self._accepted_before = self.accepted

    @property
    def recovered(self) -> bool:
        """Whether some more honest tasks were accepted since `begin_again`."""
        return self.accepted >= self._accepted_before + ENOUGH

    def await_honest(self, count: int = ENOUGH, seconds: float = 30.0) -> None:
        """Expect so many more honest tasks to be accepted."""
        wanted = self.accepted + count
        try:
            wait_until(lambda: self.accepted >= wanted, "honest tasks", seconds)
        except AssertionError as error:
            self.broken.append(Finding(Invariant.ANSWERED, f"after the attack: {error}"))

    def flat(self, most: int, what: str = "the attack") -> None:
        """Expect the server's memory to have grown by no more than so many bytes."""
        self.remarks.append(f"memory +{self.peak / MIB:.0f} MiB at most, of {self.before.memory / MIB:.0f}")
        self.expect(self.peak <= most, Invariant.CLEAN, f"{what} took {self.peak / MIB:.0f} MiB")

    def released(self) -> None:
        """Expect the server to hold no more descriptors than before, soon."""
        self.released_to(self.before.descriptors + 3)

    def released_to(self, most: int, seconds: float = 15.0) -> None:
        """Expect the server to hold no more than so many descriptors, soon."""
        try:
            wait_until(lambda: self.figures().descriptors <= most, "descriptors to be released", seconds)
        except AssertionError as error:
            held = self.figures().descriptors
            self.broken.append(Finding(Invariant.CLEAN, f"{error}: {held}, not {most}"))

    def outcome(self, *, may_die: bool = False) -> Outcome:
        """What all came to; after the block.

        Args:
            may_die: the server may run out of what it needs, and say so in its log.
        """
        self._compare(allowed=may_die)
        log = self._system.log(SERVER)
        if not may_die:
            self.expect("Traceback" not in log, Invariant.HARMLESS, "there is a traceback in the server's log")
        self.expect(len(log) < MOST_LOG, Invariant.HARMLESS, f"the server's log has {len(log):,} characters")
        found = books.read(self.arena.journal)
        _, ours = split(found)
        outcome = judge.judge(
            ledger.read(self.arena.ledger.path),
            ours,
            judge.count_runs(self.arena.trace),
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
        """Hold the honest client's answers against those of the time before."""
        during = self._driver.seconds[len(self._former) :]
        if not during or not self._former:
            self.expect(bool(during), Invariant.ANSWERED, "the honest client had no answer during the attack")
            return
        former, now, longest = _late(self._former), _late(during), max(during)
        told = f"{1000 * former:.0f} ms before, {1000 * now:.0f} ms under attack, longest {longest:.1f} s"
        self.remarks.append(f"honest answers: p99 {told}")
        wild = not allowed and now > WILD_RATIO * former and now > WILD_SECONDS
        self.expect(not wild, Invariant.ANSWERED, f"honest answers took {now:.1f} s, before {former:.3f} s")
        # The honest client asks one thing at a time: while it is held up, one answer is late, and no percentile tells.
        held_up = not allowed and longest > HELD_UP_SECONDS
        self.expect(not held_up, Invariant.ANSWERED, f"the honest client was held up for {longest:.1f} s")

    def _drain(self) -> None:
        def ended() -> bool:
            _, ours = split(books.read(self.arena.journal, thorough=False))
            return all(row.ended for row in ours.rows.values())

        try:
            wait_until(ended, "the honest tasks to end", 60.0)
        except AssertionError as error:
            self.arena.say(str(error))

    def _look(self) -> None:
        while not self._over.wait(_LOOK):
            try:
                self._samples.append(self.figures())
            except psutil.Error:
                return


def besiege(
    attack: Callable[[Siege], None], *flags: str, token: str | None = None, server: str = rigged.SERVER
) -> Callable[[Arena], Outcome]:
    """Make a case of an attack.

    Args:
        attack: what is done.
        flags: of the server.
        token: what it wants to see.
        server: its program, which a control has broken.
    """

    def run(arena: Arena) -> Outcome:
        with Siege(arena, *flags, token=token, server=server) as siege:
            attack(siege)
            siege.expect(siege.alive, Invariant.HARMLESS, "the server died")
            siege.await_honest()
        return siege.outcome()

    return run


def split(found: Books) -> tuple[Books, Books]:
    """The tasks of the attackers, and the honest ones, each with their running totals."""
    ours = {row.id: row for row in found.rows.values() if _HONEST.fullmatch(row.id)}
    theirs = {row.id: row for row in found.rows.values() if row.id not in ours}
    states = Counter(row.state for row in theirs.values())
    rest = {state: count - states[state] for state, count in found.ledger.items()}
    return (
        msgspec.structs.replace(found, rows=theirs, count=len(theirs), ledger=dict(states)),
        msgspec.structs.replace(found, rows=ours, count=found.count - len(theirs), ledger=rest),
    )


def _late(seconds: list[float]) -> float:
    ordered = sorted(seconds)
    return ordered[int(0.99 * (len(ordered) - 1))]


def _token_file(directory: Path, token: str) -> Path:
    path = directory / "token"
    path.write_text(token + "\n", "utf-8")
    path.chmod(0o600)
    return path
