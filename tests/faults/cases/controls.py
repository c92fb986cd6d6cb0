"""Negative controls: systems with one fault each, which the judge must find; otherwise its verdicts mean nothing."""

import contextlib
from collections.abc import Callable, Iterator

import msgspec

from tests.faults import nodes, rigged
from tests.faults.case import ONLY_LONG, Case
from tests.faults.context import CaseContext
from tests.faults.driver import Driver, Pace
from tests.faults.values import Finding, Invariant, Outcome
from tests.integration.programs import Program
from tests.services.waiting import wait_until

RATE = 100.0
WORK = 0.02
TASKS_BETWEEN_KILLS = 40
"""Fewest tasks between two kills."""

PATIENCE = 60.0
DRAIN_TIMEOUTS = {"s1": 8.0, "w1": 20.0, "": 3.0}
"""Seconds within which tasks that are not lost must end, by victim: longer than the lease of a dead worker."""


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """A faulty system, and the finding that it must cause."""

    server: str = "core.server"
    worker: str = "core.worker"
    victim: str = ""
    """The process to kill now and then: `s1`, `w1`, or empty for none."""
    tasks: int = 0
    """Fewest tasks to be accepted."""
    expected: Invariant | None = Invariant.NO_LOSS
    """The invariant that the judge must find broken, or None when it must find nothing."""


class _FaultySystem:
    """A server and a worker, one of which is faulty."""

    def __init__(self, context: CaseContext, control: Control, stack: contextlib.ExitStack, *broker: str) -> None:
        self._context = context
        self._control = control
        self._stack = stack
        self._broker = broker
        self._listen = "127.0.0.1:0"
        self.server = self._start_server()
        self._listen = str(self.server.address)
        self.worker = self._start_worker()

    def kill(self) -> None:
        """Kill the victim, and start it again."""
        if self._control.victim == "s1":
            self.server.close()
            self.server = self._start_server()
        else:
            self.worker.close()
            self.worker = self._start_worker()

    def _start_server(self) -> Program:
        return self._start(self._control.server, "s1", "--listen", self._listen)

    def _start_worker(self) -> Program:
        return self._start(self._control.worker, "w1", "-c", "4", "--tasks", self._context.tasks_module)

    def _start(self, module: str, name: str, *arguments: str) -> Program:
        program = Program(module, self._context.system, name, *arguments, *self._broker)
        return self._stack.enter_context(program).ready()


def _condemned(control: Control) -> Callable[[CaseContext], Outcome]:
    return lambda context: condemned(context, control, [])


def _condemned_on_rabbitmq(control: Control) -> Callable[[CaseContext], Outcome]:
    def run(context: CaseContext) -> Outcome:
        with nodes.rabbitmq_node(context.directory / "rabbitmq") as node:
            return condemned(context, control, ["--broker", node.url])

    return run


def condemned(context: CaseContext, control: Control, broker: list[str]) -> Outcome:
    """Kill the faulty process now and then, and check that the judge finds the fault."""
    kills = context.size(2, 10) if control.victim else 0
    with _submitting(context, control, broker) as (system, driver):
        for _ in range(kills):
            target = driver.accepted + TASKS_BETWEEN_KILLS + context.rng.randrange(TASKS_BETWEEN_KILLS)
            wait_until(lambda target=target: driver.accepted >= target or driver.over, "tasks", PATIENCE)  # type: ignore[misc]  # mypy can't infer a lambda with a default
            system.kill()
        wait_until(lambda: driver.accepted >= control.tasks or driver.over, "enough tasks", PATIENCE)
        driver.end()
        context.drain(DRAIN_TIMEOUTS[control.victim])
    outcome = context.judge(driver, faults=kills)
    return outcome if control.expected is None else reversed_verdict(outcome, control.expected)


@contextlib.contextmanager
def _submitting(context: CaseContext, control: Control, broker: list[str]) -> Iterator[tuple[_FaultySystem, Driver]]:
    with contextlib.ExitStack() as stack:
        system = _FaultySystem(context, control, stack, *broker)
        driver = context.driver(system.server.address, pace=Pace(rate=RATE), seconds=WORK)
        driver.start()
        stack.callback(driver.end)
        yield system, driver


def reversed_verdict(outcome: Outcome, expected: Invariant, text: str = "") -> Outcome:
    """Return the outcome of a control: it passes when the judge found the expected fault. Pure.

    Args:
        outcome: of the faulty system.
        expected: the invariant that must be broken.
        text: that the finding must contain.
    """
    matching = [finding for finding in outcome.broken if finding.invariant is expected and text in finding.text]
    findings = "; ".join(str(finding) for finding in outcome.broken) or "nothing"
    missed = Finding(expected, f"a system that breaks it was not condemned; the judge found: {findings}")
    return msgspec.structs.replace(
        outcome,
        lost=0,
        broken=() if matching else (missed,),
        remarks=(
            *outcome.remarks,
            f"lost on purpose: {outcome.lost:,}",
            *(f"the judge found {finding}" for finding in matching),
        ),
    )


EARLY = Control(worker="tests.faults.broken.early_worker", victim="w1")
HASTY = Control(server="tests.faults.broken.hasty_server", victim="s1")
FORGETFUL = Control(server="tests.faults.broken.forgetful_server", tasks=110)
MISTAKEN = Control(worker="tests.faults.broken.mistaken_worker", victim="w1")
SOUND = Control(victim="w1", expected=None)

TARGET = "the judge condemns it"


class CaseControl(msgspec.Struct, frozen=True, kw_only=True):
    """A control of another case: the case runs against a faulty system."""

    run: Callable[[CaseContext], Outcome]
    """The function of the case, with the broken program if that is a server."""
    expected: Invariant
    text: str
    """The invariant that it must find broken, and a text that the finding must contain."""
    part: float = 0.0
    """Fraction of the long profile's size; 0 for the size of the quick profile."""
    worker: str = ""
    """The module that breaks the workers; empty for none."""


def condemns(control: CaseControl) -> Callable[[CaseContext], Outcome]:
    """Make a control of a case: it passes when the case fails for the right reason."""

    def run(context: CaseContext) -> Outcome:
        with rigged.breaking_workers(control.worker):
            outcome = rigged.attempted(control.run, rigged.RiggedContext(context, control.part))
        return reversed_verdict(outcome, control.expected, control.text)

    return run


def _case(fault: str, run: Callable[[CaseContext], Outcome]) -> Case:
    return Case(name=f"control: {fault}", target=TARGET, run=run)


def _long_case(
    fault: str, run: Callable[[CaseContext], Outcome], target: str = TARGET, *, rabbitmq: bool = False
) -> Case:
    return Case(name=f"control: {fault}", target=target, run=run, profiles=ONLY_LONG, rabbitmq=rabbitmq)


CASES = (
    _case("answers before the commit", _condemned(HASTY)),
    _case("forgets every 50th task", _condemned(FORGETFUL)),
    _long_case("acknowledges before the commit", _condemned(EARLY)),
    _long_case("acknowledges the wrong message", _condemned(MISTAKEN)),
    _long_case("acknowledges the wrong message, RabbitMQ", _condemned_on_rabbitmq(MISTAKEN), rabbitmq=True),
    _long_case("nothing is wrong", _condemned(SOUND), "the judge finds nothing"),
)
