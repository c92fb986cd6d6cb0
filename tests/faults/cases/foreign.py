"""Messages of strangers on the tasks queue, and a queue of the right name that is another than ours."""

import json
from collections.abc import Iterator

import msgspec
import pika

from core.broker.base import Queue, Reference
from core.broker.rabbitmq.topology import EXCHANGE
from core.client import Client
from core.errors import BrokerMisconfigured
from tests.faults import books, network, nodes
from tests.faults.arena import Arena
from tests.faults.case import ONLY_LONG, Case
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
LOG_ROOM = 20_000
"""Bytes of log that one foreign message may cost, at most, in a process."""

NAMES = ("s1", "w1", "w2")
COMING_BACK = 1.0
"""Seconds in which RabbitMQ gives back what was held by those who have left."""

Message = tuple[bytes, pika.BasicProperties | None]


def _bodies(arena: Arena, known: Reference) -> Iterator[bytes]:
    """Every kind of foreign body; `known` is a task that is done."""
    chance = arena.chance
    yield b""
    yield b"\0" * 1000
    yield chance.randbytes(chance.randrange(1, 5_000))
    yield b"[" * 100_000
    yield b'{"a":' * 50_000
    for value in (None, 1, "x", [], {}, [known.id, known.seq], {"id": known.id}, {"id": 5, "seq": "x"}):
        yield json.dumps(value).encode()
    told = msgspec.to_builtins(known)
    for change in (
        {"seq": 2**62},
        {"seq": -1},
        {"seq": 0},
        {"seq": 2**70},
        {"seq": known.seq + 0.5},
        {"seq": None},
        {"id": ESCAPES},
        {"id": "x" * 100_000},
        {"id": "nobody"},
        {"attempt": 10**9},
        {"attempt": -1},
        {"at": 1e400},
        {"at": "soon"},
        {"at": -1e300},
        {},
    ):
        yield json.dumps({**told, **change}).encode()
    yield json.dumps({**told, "more": [1] * 1000}).encode()
    yield ESCAPES.encode()
    yield "\ud800".encode("utf-16", "surrogatepass")


def _properties(arena: Arena) -> pika.BasicProperties | None:
    """Missing or odd headers."""
    return arena.chance.choice(
        [
            None,
            pika.BasicProperties(headers={"x-delivery-count": ESCAPES}),
            pika.BasicProperties(headers={"x-delivery-count": -5, "x-death": [{"queue": ESCAPES}]}),
            pika.BasicProperties(headers={"x-delivery-count": 2**60}),
            pika.BasicProperties(content_type=ESCAPES, content_encoding="gzip", message_id="\0", type="\x1b[2J"),
            pika.BasicProperties(priority=255, delivery_mode=1, reply_to="amq.rabbitmq.reply-to.x", app_id="x" * 255),
        ]
    )


def strangers(arena: Arena) -> Outcome:
    """Publish all kinds of foreign messages while honest tasks are done."""
    count = arena.size(60, 1_000)
    with (
        nodes.node_in(arena.directory / "rabbitmq") as node,
        LocalSystem(arena.system, 1, 2, broker=node.url, worker_arguments=("--tasks", arena.tasks_module)) as system,
    ):
        driver = arena.driver(*system.addresses, pace=Pace(rate=100.0), seconds=0.01)
        driver.start()
        try:
            wait_until(lambda: system.counts().get("done", 0) > TASKS // 2, "tasks to be done", 60)
            sent = _publish(arena, node, system, count)
            _await_more(system, TASKS)
        finally:
            driver.end()
        died = _died(system)
        if not died:
            arena.drain()
            wait_until(lambda: _held(node) == 0, "both queues to be empty", 60)
        logs = {name: system.log(name) for name in NAMES}
        for name in NAMES if died else ():
            # Who is still there may be dying too, and can't be asked to leave in good order.
            system.kill(name)
        system.close()
        broken = [Finding(Invariant.HARMLESS, f"{name} died") for name in died]
        broken += _unsettled(node)
    broken += _logged(logs, sent)
    outcome = arena.judge(driver, Allowance(run_twice=0.0), faults=sent)
    told = sum(text.count("\n") for text in logs.values())
    remark = f"{sent:,} foreign messages gave {told:,} lines of log, {sum(map(len, logs.values())):,} bytes"
    return msgspec.structs.replace(outcome, broken=(*outcome.broken, *broken), remarks=(*outcome.remarks, remark))


def _publish(arena: Arena, node: RabbitNode, system: LocalSystem, count: int) -> int:
    """Publish so many; how many it were."""
    rows = books.read(arena.journal, thorough=False).rows
    task = system.task(next(row.id for row in rows.values() if row.state == "done"))
    assert task is not None
    known = Reference(task.id, task.seq, 0, 1.0)
    sent = 0
    with raw_channel(node.url) as channel:
        channel.basic_publish(EXCHANGE, Queue.TASKS, arena.chance.randbytes(LARGE))
        while sent < count:
            for body in _bodies(arena, known):
                channel.basic_publish(EXCHANGE, Queue.TASKS, body, _properties(arena))
                sent += 1
    return sent + 1


def _died(system: LocalSystem) -> list[str]:
    return [name for name in NAMES if system.process(name).poll() is not None]


def _await_more(system: LocalSystem, count: int) -> None:
    """Wait until so many more are done, or somebody has died."""
    wanted = system.counts().get("done", 0) + count
    wait_until(
        lambda: system.counts().get("done", 0) > wanted or bool(_died(system)), "tasks to be done meanwhile", 120
    )


def _held(node: RabbitNode) -> int:
    """How many messages both queues have to give."""
    with raw_channel(node.url) as channel:
        return sum(channel.queue_declare(queue, passive=True).method.message_count for queue in Queue)


def _unsettled(node: RabbitNode) -> Iterator[Finding]:
    """What is to be said when messages come back that nobody has settled, once all have left."""
    network.pause(COMING_BACK)
    count = _held(node)
    if count:
        yield Finding(Invariant.CONSERVED, f"{count:,} messages were taken and never settled")


def _logged(logs: dict[str, str], sent: int) -> Iterator[Finding]:
    for name, text in logs.items():
        if any(sign in text for sign in ("\x1b", "\x9b", "\x07", "\0")):
            yield Finding(Invariant.HARMLESS, f"the log of {name} has what a terminal obeys")
        if "Traceback" in text:
            yield Finding(Invariant.HARMLESS, f"the log of {name} has a traceback")
        if len(text) > LOG_ROOM * sent:
            yield Finding(Invariant.HARMLESS, f"the log of {name} has {len(text):,} bytes")
    if "foreign message" not in logs["w1"] + logs["w2"] or "is dropped" not in logs["s1"]:
        yield Finding(Invariant.HARMLESS, "nobody has said a word about foreign messages")


def other_queues(arena: Arena) -> Outcome:
    """Start servers and workers at a RabbitMQ with queues of our names that are others."""
    broken: list[Finding] = []
    with nodes.node_in(arena.directory / "rabbitmq") as node:
        for name, arguments in OTHERS.items():
            url = node.vhost()
            with raw_channel(url) as channel:
                channel.queue_declare(Queue.TASKS, durable=True, arguments=arguments)
            broken += [Finding(Invariant.HARMLESS, f"{name}: {text}") for text in _refusals(arena, url, node.password)]
    return Outcome(tasks=2 * len(OTHERS), broken=tuple(broken))


def _refusals(arena: Arena, url: str, password: str) -> Iterator[str]:
    """What is wrong with how a worker, which is of no use then, and a server, which still accepts, take it."""
    ended = run("core.worker", "--dir", str(arena.system), "--broker", url)
    if ended.code != BrokerMisconfigured.exit_code or SENTENCE not in ended.errors:
        yield f"the worker ended with {ended}"
    with server(arena.system, "s1", "--broker", url).ready() as program:
        with Client(program.address) as client:
            told = client.stats().broker
        log = program.log
        program.terminate()
        code = program.wait()
    if SENTENCE not in told or SENTENCE not in log or code:
        yield f"the server said {told!r}, and ended with {code}"
    if password in ended.errors + log + told:
        yield "the password is shown"


OTHERS: dict[str, dict[str, str | int]] = {
    "classic": {},
    "no dead letters": {"x-queue-type": "quorum", "x-delivery-limit": 20},
    "another limit": {"x-queue-type": "quorum", "x-delivery-limit": 2, "x-dead-letter-exchange": "cauce.dead"},
    "short lives": {"x-queue-type": "classic", "x-message-ttl": 1000, "x-max-length": 1},
}


CASES = (
    Case(
        name="messages of strangers, RabbitMQ",
        target="1,000 of every kind: workers live, nothing is done wrongly, the log is clean",
        run=strangers,
        profiles=ONLY_LONG,
        rabbitmq=True,
    ),
    Case(
        name="queues of others, RabbitMQ",
        target="a worker refuses with a sentence and exit code 3, a server tells it and still accepts",
        run=other_queues,
        profiles=ONLY_LONG,
        rabbitmq=True,
    ),
)
