"""A RabbitMQ node that dies, hangs, is full, loses its data or starts late, while tasks are submitted."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec

from core.client import Client, NewSubmission
from tests.faults import nodes, sending
from tests.faults.case import ONLY_LONG, Case
from tests.faults.context import CaseContext
from tests.faults.driver import ANSWER_TIMEOUT, Driver, Pace
from tests.faults.judge import Allowance
from tests.faults.values import Finding, Invariant, Outcome
from tests.integration.supervised import Supervised
from tests.services.rabbitmq import RabbitNode
from tests.services.system import LocalSystem
from tests.services.waiting import wait_until

RATE = 60.0
WORK = 0.02
WORKERS = 2
THREADS = 4
RUNNING = WORKERS * THREADS
"""Tasks that run when a fault begins: each may run again."""

RECOVERY_TIMEOUT = 90.0
NOTICE_TIMEOUT = 60.0
"""Seconds within which a server must report that its broker is unavailable."""

FIRST_EXTRA = 1_000_000
"""The number of the first task beside those of the honest client."""

BACKLOG = 120
BACKLOG_SECONDS = 0.1
"""Tasks submitted just before a fault, and the seconds of each: they could be lost."""

CONSUMER_TIMEOUT_MS = 1000
"""The consumer timeout of the case that shortens it, in milliseconds."""


class Scene(msgspec.Struct, frozen=True):
    """The parts of a case."""

    context: CaseContext
    node: RabbitNode
    system: LocalSystem
    driver: Driver

    def keep_running(self, seconds: float = 2.0) -> None:
        """Wait while tasks are submitted."""
        end = time.monotonic() + seconds
        wait_until(lambda: time.monotonic() >= end or self.driver.over, "the time to pass", seconds + 5)

    def broker(self) -> str:
        """Return the state of the broker in the server's statistics."""
        with Client(self.system.addresses) as client:
            return client.stats().broker

    def wait_until_reported(self) -> None:
        """Wait until the server reports that its broker is unavailable."""
        wait_until(lambda: self.broker() != "ready", "the fault to be reported", NOTICE_TIMEOUT)


def _kill(scene: Scene) -> None:
    scene.node.kill()
    scene.wait_until_reported()
    scene.node.start()


def _stop(scene: Scene) -> None:
    scene.node.stop()
    scene.wait_until_reported()
    scene.node.start()


def _hang(scene: Scene) -> None:
    scene.node.suspend()
    try:
        scene.keep_running(scene.context.size(5, 10 + scene.context.rng.randrange(50)))
    finally:
        scene.node.resume()


def _alarm(resource: str, scene: Scene) -> None:
    nodes.set_alarm(scene.node, resource, on=True)
    try:
        scene.wait_until_reported()
        scene.keep_running()
    finally:
        nodes.set_alarm(scene.node, resource, on=False)


def _wipe(scene: Scene) -> None:
    nodes.wipe(scene.node, scene.context.directory / "rabbitmq")
    scene.wait_until_reported()
    scene.node.start()
    answer = Supervised(scene.context.system).run("redispatch")
    assert answer.code == 0, answer.errors


def _delete(scene: Scene) -> None:
    nodes.delete_queue(scene.node)


def _shorten_consumer_timeout(scene: Scene) -> None:
    """Shorten the consumer timeout, so that consumers lose the messages of long tasks."""
    number = 2 * FIRST_EXTRA + scene.driver.accepted
    nodes.set_consumer_timeout(scene.node, CONSUMER_TIMEOUT_MS)
    try:
        task = NewSubmission("honest", scene.context.payload(number, 4 * CONSUMER_TIMEOUT_MS / 1000), f"t-{number}")
        sending.send(scene.system.addresses, scene.context.submissions, [task])
        scene.keep_running(5.0)
    finally:
        nodes.set_consumer_timeout(scene.node, 1_800_000)


LOSSES = frozenset({"wipe", "delete the queue"})
"""The faults after which all queued tasks are published again.

Until a worker has committed once more it does not know that, and begins what it fetched.
"""

UNAWARE = 3 * RUNNING
"""Tasks that run when all are published again, or begin before their worker's next commit: two or three a thread."""

FAULTS: dict[str, Callable[[Scene], None]] = {
    "kill": _kill,
    "stop": _stop,
    "hang": _hang,
    "memory alarm": partial(_alarm, "memory"),
    "disk alarm": partial(_alarm, "disk"),
    "wipe": _wipe,
    "delete the queue": _delete,
    "consumer timeout": _shorten_consumer_timeout,
}


def broker_faults(context: CaseContext, quick: Sequence[str], long: Mapping[str, int]) -> Outcome:
    """Make one fault after another, and wait each time until tasks are done again.

    Args:
        context: of the case.
        quick: the faults of the quick profile, in order.
        long: the number of each fault in the long profile, in random order.
    """
    faults = [name for name, count in long.items() for _ in range(count)]
    context.rng.shuffle(faults)
    faults = list(quick) if context.size(1, 0) else faults
    flags = ("--tasks", context.tasks_module, "--concurrency", str(THREADS))
    with (
        nodes.rabbitmq_node(context.directory / "rabbitmq") as node,
        LocalSystem(context.system, 1, WORKERS, broker=node.url, worker_arguments=flags) as system,
    ):
        driver = context.driver(*system.addresses, pace=Pace(rate=RATE), seconds=WORK)
        scene = Scene(context, node, system, driver)
        driver.start()
        try:
            for place, name in enumerate(faults):
                scene.keep_running(0.5)
                _pile_up(scene, FIRST_EXTRA + BACKLOG * place)
                context.show_progress(f"{name}, after {driver.accepted:,} tasks")
                FAULTS[name](scene)
                _wait_until_recovered(scene)
        finally:
            driver.end()
        context.drain()
        dead = [name for name in ("s1", "w1", "w2") if system.process(name).poll() is not None]
    broken = [Finding(Invariant.HARMLESS, f"died: {dead}")] if dead else []
    return _judged(context, driver, faults, broken)


def _pile_up(scene: Scene, first: int) -> None:
    """Submit tasks that wait in the queue."""
    numbers = range(first, first + BACKLOG)
    tasks = [
        NewSubmission("honest", scene.context.payload(number, BACKLOG_SECONDS), f"t-{number}") for number in numbers
    ]
    sending.send(scene.system.addresses, scene.context.submissions, tasks)


def _wait_until_recovered(scene: Scene) -> None:
    """Wait until the broker is in use again, and tasks are done."""
    wait_until(lambda: scene.broker() == "ready", "the server to have its broker", RECOVERY_TIMEOUT)
    # Afterwards, because each look opens a connection to the broker.
    wait_until(lambda: nodes.consumers(scene.node) >= WORKERS, "the consumers to be back", RECOVERY_TIMEOUT)
    done = scene.system.counts().get("done", 0)
    wait_until(lambda: scene.system.counts().get("done", 0) > done + 20, "tasks to be done", RECOVERY_TIMEOUT)


def _judged(context: CaseContext, driver: Driver, faults: Sequence[str], broken: Sequence[Finding] = ()) -> Outcome:
    outcome = context.judge(driver, Allowance(), faults=len(faults))
    slow = [seconds for seconds in driver.seconds if seconds > context.patience(ANSWER_TIMEOUT)]
    late = [Finding(Invariant.ANSWERED, f"{len(slow)} answers took up to {max(slow):.1f} s")] if slow else []
    most = sum(UNAWARE if name in LOSSES else RUNNING for name in faults)
    often = f"{outcome.run_twice:,} tasks ran more than once, and no more than {most:,} could for these faults"
    wasted = [Finding(Invariant.RUNS, often)] if outcome.run_twice > most else []
    remark = f"of at most {most:,} tasks that ran or began when a fault began, {outcome.run_twice:,} ran once more"
    return msgspec.structs.replace(
        outcome, broken=(*outcome.broken, *broken, *late, *wasted), remarks=(*outcome.remarks, remark)
    )


def late_start(context: CaseContext) -> Outcome:
    """Start RabbitMQ some time after everything else."""
    flags = ("--tasks", context.tasks_module, "--concurrency", str(THREADS))
    with (
        nodes.rabbitmq_node(context.directory / "rabbitmq", started=False) as node,
        LocalSystem(context.system, 2, WORKERS, broker=node.url, worker_arguments=flags) as system,
    ):
        driver = context.driver(*system.addresses, pace=Pace(rate=RATE), seconds=WORK)
        scene = Scene(context, node, system, driver)
        driver.start()
        try:
            scene.wait_until_reported()
            scene.keep_running(20.0)
            node.start()
            _wait_until_recovered(scene)
        finally:
            driver.end()
        context.drain()
    return _judged(context, driver, ["late start"])


CASES = (
    Case(
        name="faults of RabbitMQ",
        target="killed, stopped, hung, full, wiped, its queue deleted: submitting goes on, none lost",
        run=partial(
            broker_faults,
            quick=("hang", "delete the queue", "memory alarm", "kill"),
            long={"kill": 8, "stop": 4, "memory alarm": 4, "disk alarm": 4, "wipe": 3, "delete the queue": 5},
        ),
        rabbitmq=True,
    ),
    Case(
        name="RabbitMQ killed and restarted",
        target="20 times: submitting goes on, none lost",
        run=partial(broker_faults, quick=(), long={"kill": 20, "stop": 5}),
        profiles=ONLY_LONG,
        rabbitmq=True,
    ),
    Case(
        name="RabbitMQ hung",
        target="5 times for 10 to 60 s, and with a short consumer timeout: submitting goes on, none lost",
        run=partial(broker_faults, quick=(), long={"hang": 5, "consumer timeout": 5}),
        profiles=ONLY_LONG,
        rabbitmq=True,
    ),
    Case(
        name="RabbitMQ starts late",
        target="20 s after everything else: tasks accepted before are done",
        run=late_start,
        profiles=ONLY_LONG,
        rabbitmq=True,
    ),
)
