"""Foreign messages on the tasks queue, and a queue of the same name with other settings."""

import json
from collections.abc import Iterator

import msgspec
import pika

from core.broker.base import Queue, Reference
from core.broker.rabbitmq.topology import EXCHANGE
from core.client import Client
from core.errors import BrokerMisconfigured
from tests.faults import journal_reader, network, nodes
from tests.faults.case import ONLY_LONG, Case
from tests.faults.context import CaseContext
from tests.faults.driver import Pace
from tests.faults.judge import Allowance
from tests.faults.values import Finding, Invariant, Outcome
from tests.integration.programs import run, server
from tests.services.amqp import raw_channel
from tests.services.rabbitmq import RabbitNode
from tests.services.system import LocalSystem
from tests.services.waiting import wait_until

TASKS = 200
ESCAPES = "\x1b]2;PWNED\x07\x9b2J\x1bP+q\x1b\\"
LARGE = 10_000_000
SENTENCE = "with other settings than Cauce needs"
LOG_BYTES_PER_MESSAGE = 20_000
"""Most bytes of log per foreign message in a process."""

NAMES = ("s1", "w1", "w2")
REQUEUE_TIME = 1.0
"""Seconds within which RabbitMQ requeues the messages of closed consumers."""

Message = tuple[bytes, pika.BasicProperties | None]


def _bodies(context: CaseContext, known: Reference) -> Iterator[bytes]:
    """Yield every kind of foreign body; `known` is a task that is done."""
    rng = context.rng
    yield b""
    yield b"\0" * 1000
    yield rng.randbytes(rng.randrange(1, 5_000))
    yield b"[" * 100_000
    yield b'{"a":' * 50_000
    for value in (None, 1, "x", [], {}, [known.id, known.seq], {"id": known.id}, {"id": 5, "seq": "x"}):
        yield json.dumps(value).encode()
    members = msgspec.to_builtins(known)
    for change in (
        {"seq": 2**62},
        {"seq": -1},
        {"seq": 0},
        {"seq": 2**70},
        {"seq": known.seq + 0.5},
        {"seq": None},
        {"id": ESCAPES},
        {"id": "x" * 100_000},
        {"id": "unknown"},
        {"attempt": 10**9},
        {"attempt": -1},
        {"at": 1e400},
        {"at": "soon"},
        {"at": -1e300},
        {},
    ):
        yield json.dumps({**members, **change}).encode()
    yield json.dumps({**members, "more": [1] * 1000}).encode()
    yield ESCAPES.encode()
    yield "\ud800".encode("utf-16", "surrogatepass")


def _properties(context: CaseContext) -> pika.BasicProperties | None:
    """Return no headers or odd ones."""
    return context.rng.choice(
        [
            None,
            pika.BasicProperties(headers={"x-delivery-count": ESCAPES}),
            pika.BasicProperties(headers={"x-delivery-count": -5, "x-death": [{"queue": ESCAPES}]}),
            pika.BasicProperties(headers={"x-delivery-count": 2**60}),
            pika.BasicProperties(content_type=ESCAPES, content_encoding="gzip", message_id="\0", type="\x1b[2J"),
            pika.BasicProperties(priority=255, delivery_mode=1, reply_to="amq.rabbitmq.reply-to.x", app_id="x" * 255),
        ]
    )


def foreign_messages(context: CaseContext) -> Outcome:
    """Publish all kinds of foreign messages while honest tasks run."""
    count = context.size(60, 1_000)
    with (
        nodes.rabbitmq_node(context.directory / "rabbitmq") as node,
        LocalSystem(
            context.system, 1, 2, broker=node.url, worker_arguments=("--tasks", context.tasks_module)
        ) as system,
    ):
        driver = context.driver(*system.addresses, pace=Pace(rate=100.0), seconds=0.01)
        driver.start()
        try:
            wait_until(lambda: system.counts().get("done", 0) > TASKS // 2, "tasks to be done", 60)
            sent = _publish(context, node, system, count)
            _await_more(system, TASKS)
        finally:
            driver.end()
        died = _died(system)
        if not died:
            context.drain()
            wait_until(lambda: _ready_messages(node) == 0, "both queues to be empty", 60)
        logs = {name: system.log(name) for name in NAMES}
        for name in NAMES if died else ():
            # The other processes may be dying too, and can't be stopped in order.
            system.kill(name)
        system.close()
        broken = [Finding(Invariant.HARMLESS, f"{name} died") for name in died]
        broken += _unsettled(node)
    broken += _logged(logs, sent)
    outcome = context.judge(driver, Allowance(run_twice=0.0), faults=sent)
    lines = sum(text.count("\n") for text in logs.values())
    remark = f"{sent:,} foreign messages gave {lines:,} lines of log, {sum(map(len, logs.values())):,} bytes"
    return msgspec.structs.replace(outcome, broken=(*outcome.broken, *broken), remarks=(*outcome.remarks, remark))


def _publish(context: CaseContext, node: RabbitNode, system: LocalSystem, count: int) -> int:
    """Publish at least so many messages. Returns how many were published."""
    rows = journal_reader.read(context.journal, thorough=False).rows
    task = system.task(next(row.id for row in rows.values() if row.state == "done"))
    assert task is not None
    known = Reference(task.id, task.seq, 0, 1.0)
    sent = 0
    with raw_channel(node.url) as channel:
        channel.basic_publish(EXCHANGE, Queue.TASKS, context.rng.randbytes(LARGE))
        while sent < count:
            for body in _bodies(context, known):
                channel.basic_publish(EXCHANGE, Queue.TASKS, body, _properties(context))
                sent += 1
    return sent + 1


def _died(system: LocalSystem) -> list[str]:
    return [name for name in NAMES if system.process(name).poll() is not None]


def _await_more(system: LocalSystem, count: int) -> None:
    """Wait until so many more tasks are done, or a process has died."""
    wanted = system.counts().get("done", 0) + count
    wait_until(
        lambda: system.counts().get("done", 0) > wanted or bool(_died(system)), "tasks to be done meanwhile", 120
    )


def _ready_messages(node: RabbitNode) -> int:
    """Return the number of ready messages on both queues."""
    with raw_channel(node.url) as channel:
        return sum(channel.queue_declare(queue, passive=True).method.message_count for queue in Queue)


def _unsettled(node: RabbitNode) -> Iterator[Finding]:
    """Yield a finding when messages were never settled, once all consumers are closed."""
    network.pause(REQUEUE_TIME)
    count = _ready_messages(node)
    if count:
        yield Finding(Invariant.CONSERVED, f"{count:,} messages were delivered and never settled")


def _logged(logs: dict[str, str], sent: int) -> Iterator[Finding]:
    for name, text in logs.items():
        if any(control in text for control in ("\x1b", "\x9b", "\x07", "\0")):
            yield Finding(Invariant.HARMLESS, f"the log of {name} has terminal escapes")
        if "Traceback" in text:
            yield Finding(Invariant.HARMLESS, f"the log of {name} has a traceback")
        if len(text) > LOG_BYTES_PER_MESSAGE * sent:
            yield Finding(Invariant.HARMLESS, f"the log of {name} has {len(text):,} bytes")
    if "not Cauce's" not in logs["w1"] + logs["w2"] or "is dropped" not in logs["s1"]:
        yield Finding(Invariant.HARMLESS, "no log mentions foreign messages")


def other_queues(context: CaseContext) -> Outcome:
    """Start servers and workers on a RabbitMQ whose queues have our names and other settings."""
    broken: list[Finding] = []
    with nodes.rabbitmq_node(context.directory / "rabbitmq") as node:
        for name, arguments in OTHER_SETTINGS.items():
            url = node.vhost()
            with raw_channel(url) as channel:
                channel.queue_declare(Queue.TASKS, durable=True, arguments=arguments)
            broken += [
                Finding(Invariant.HARMLESS, f"{name}: {text}") for text in _refusals(context, url, node.password)
            ]
    return Outcome(tasks=2 * len(OTHER_SETTINGS), broken=tuple(broken))


def _refusals(context: CaseContext, url: str, password: str) -> Iterator[str]:
    """Yield what is wrong with the reactions of a worker, which must end, and of a server, which must still accept."""
    ended = run("core.worker", "--dir", str(context.system), "--broker", url)
    if ended.code != BrokerMisconfigured.exit_code or SENTENCE not in ended.errors:
        yield f"the worker ended with {ended}"
    with server(context.system, "s1", "--broker", url).ready() as program:
        with Client(program.address) as client:
            broker = client.stats().broker
        log = program.log
        program.terminate()
        code = program.wait()
    if SENTENCE not in broker or SENTENCE not in log or code:
        yield f"the server reported {broker!r}, and ended with {code}"
    if password in ended.errors + log + broker:
        yield "the password is shown"


OTHER_SETTINGS: dict[str, dict[str, str | int]] = {
    "classic": {},
    "no dead letters": {"x-queue-type": "quorum", "x-delivery-limit": 20},
    "another limit": {"x-queue-type": "quorum", "x-delivery-limit": 2, "x-dead-letter-exchange": "cauce.dead"},
    "message TTL": {"x-queue-type": "classic", "x-message-ttl": 1000, "x-max-length": 1},
}


CASES = (
    Case(
        name="foreign messages, RabbitMQ",
        target="1,000 of every kind: workers survive, no task is harmed, the log is clean",
        run=foreign_messages,
        profiles=ONLY_LONG,
        rabbitmq=True,
    ),
    Case(
        name="queues with other settings, RabbitMQ",
        target="a worker refuses with a sentence and exit code 3, a server reports it and still accepts",
        run=other_queues,
        profiles=ONLY_LONG,
        rabbitmq=True,
    ),
)
