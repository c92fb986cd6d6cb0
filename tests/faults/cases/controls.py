"""Negative controls: systems with one thing wrong, which the judge has to condemn; otherwise it judges nothing."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from tests.faults import nodes, rigged
from tests.faults.arena import Arena
from tests.faults.case import ONLY_LONG, Case
from tests.faults.driver import Driver, Pace
from tests.faults.values import Finding, Invariant, Outcome
from tests.integration.programs import Program
from tests.services.waiting import wait_until

RATE = 100.0
WORK = 0.02
BETWEEN = 40
"""Tasks between two kills, at least."""

PATIENCE = 30.0
LAST_CHANCE = {"s1": 8.0, "w1": 20.0, "": 3.0}
"""Seconds in which what is not lost has to end, by the victim: the lease of a dead worker must be over well before."""


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong, and what has to be said of it."""

    server: str = "core.server"
    worker: str = "core.worker"
    victim: str = ""
    """Who is killed now and then: `s1` or `w1`; nobody when empty."""
    tasks: int = 0
    """How many have to be accepted, at least."""
    wanted: Invariant | None = Invariant.NO_LOSS
    """What the judge has to find broken; None when it is to find nothing."""


class _Rigged:
    """One server and one worker, of which one is not as it should be."""

    def __init__(self, arena: Arena, control: Control, stack: contextlib.ExitStack, *broker: str) -> None:
        self._arena = arena
        self._control = control
        self._stack = stack
        self._broker = broker
        self._listen = "127.0.0.1:0"
        self.server = self._start_server()
        self._listen = str(self.server.address)
        self.worker = self._start_worker()

    def kill(self) -> None:
        """End the victim as a crash would, and start it again."""
        if self._control.victim == "s1":
            self.server.close()
            self.server = self._start_server()
        else:
            self.worker.close()
            self.worker = self._start_worker()

    def _start_server(self) -> Program:
        return self._start(self._control.server, "s1", "--listen", self._listen)

    def _start_worker(self) -> Program:
        return self._start(self._control.worker, "w1", "-c", "4", "--tasks", self._arena.tasks_module)

    def _start(self, module: str, name: str, *arguments: str) -> Program:
        program = Program(module, self._arena.system, name, *arguments, *self._broker)
        return self._stack.enter_context(program).ready()


def _condemned(control: Control) -> Callable[[Arena], Outcome]:
    return lambda arena: condemned(arena, control, [])


def _condemned_on_rabbitmq(control: Control) -> Callable[[Arena], Outcome]:
    def run(arena: Arena) -> Outcome:
        with nodes.node_in(arena.directory / "rabbitmq") as node:
            return condemned(arena, control, ["--broker", node.url])

    return run


def condemned(arena: Arena, control: Control, broker: list[str]) -> Outcome:
    """Kill the rigged part now and then, and see that the judge notices."""
    kills = arena.size(2, 10) if control.victim else 0
    with _submitting(arena, control, broker) as (rigged, driver):
        for _ in range(kills):
            wanted = driver.accepted + BETWEEN + arena.chance.randrange(BETWEEN)
            wait_until(lambda wanted=wanted: driver.accepted >= wanted or driver.over, "tasks", PATIENCE)  # type: ignore[misc]  # mypy can't infer a lambda with a default
            rigged.kill()
        wait_until(lambda: driver.accepted >= control.tasks or driver.over, "enough tasks", PATIENCE)
        driver.end()
        arena.drain(LAST_CHANCE[control.victim])
    outcome = arena.judge(driver, faults=kills)
    return outcome if control.wanted is None else reversed_verdict(outcome, control.wanted)


@contextlib.contextmanager
def _submitting(arena: Arena, control: Control, broker: list[str]) -> Iterator[tuple[_Rigged, Driver]]:
    with contextlib.ExitStack() as stack:
        rigged = _Rigged(arena, control, stack, *broker)
        driver = arena.driver(rigged.server.address, pace=Pace(rate=RATE), seconds=WORK)
        driver.start()
        stack.callback(driver.end)
        yield rigged, driver


def reversed_verdict(outcome: Outcome, wanted: Invariant, words: str = "") -> Outcome:
    """Of a system that is broken on purpose: all is well when the judge has found just that. Pure.

    Args:
        outcome: what was found.
        wanted: what has to be found broken.
        words: which have to be said of it.
    """
    found = [finding for finding in outcome.broken if finding.invariant is wanted and words in finding.text]
    told = "; ".join(str(finding) for finding in outcome.broken) or "nothing"
    missed = Finding(wanted, f"a system that breaks it was not condemned; the judge found: {told}")
    return msgspec.structs.replace(
        outcome,
        lost=0,
        broken=() if found else (missed,),
        remarks=(*outcome.remarks, f"lost on purpose: {outcome.lost:,}", *(f"the judge said {text}" for text in found)),
    )


EARLY = Control(worker="tests.faults.broken.early_worker", victim="w1")
HASTY = Control(server="tests.faults.broken.hasty_server", victim="s1")
FORGETFUL = Control(server="tests.faults.broken.forgetful_server", tasks=110)
MISTAKEN = Control(worker="tests.faults.broken.mistaken_worker", victim="w1")
SOUND = Control(victim="w1", wanted=None)

TARGET = "the judge condemns it"


class Rigged(msgspec.Struct, frozen=True, kw_only=True):
    """Another case, held against a system with one thing wrong."""

    run: Callable[[Arena], Outcome]
    """The case's own function, with the broken program if that is a server."""
    wanted: Invariant
    words: str
    """What it has to find broken, and what it has to say of it."""
    part: float = 0.0
    """How much of the long profile it does; what the quick one does when 0."""
    tasks: Path | None = None
    """The module of tasks which breaks the worker that loads it."""


def condemns(control: Rigged) -> Callable[[Arena], Outcome]:
    """Make a control of a case: it holds when the case doesn't, for the right reason."""

    def run(arena: Arena) -> Outcome:
        outcome = rigged.attempted(control.run, rigged.RiggedArena(arena, control.part, control.tasks))
        return reversed_verdict(outcome, control.wanted, control.words)

    return run


def _case(what: str, run: Callable[[Arena], Outcome]) -> Case:
    return Case(name=f"control: {what}", target=TARGET, run=run)


def _long_case(what: str, run: Callable[[Arena], Outcome], target: str = TARGET, *, rabbitmq: bool = False) -> Case:
    return Case(name=f"control: {what}", target=target, run=run, profiles=ONLY_LONG, rabbitmq=rabbitmq)


CASES = (
    _case("answers before the commit", _condemned(HASTY)),
    _case("forgets every 50th task", _condemned(FORGETFUL)),
    _long_case("acknowledges before the commit", _condemned(EARLY)),
    _long_case("acknowledges the wrong message", _condemned(MISTAKEN)),
    _long_case("acknowledges the wrong message, RabbitMQ", _condemned_on_rabbitmq(MISTAKEN), rabbitmq=True),
    _long_case("nothing is wrong", _condemned(SOUND), "the judge finds nothing"),
)
