"""A system made of values, which looks the same on every machine."""

import math
from collections.abc import Mapping
from pathlib import Path

from core.model import (
    Counters,
    Depth,
    Failure,
    KindDescription,
    Ledger,
    Part,
    Role,
    RunningTask,
    State,
    Task,
    Times,
    Trouble,
)
from core.monitor.delays import Delays
from core.monitor.history import RateSeries
from core.monitor.snapshot import Presence, ProcessView, Snapshot
from core.repository.archive import TaskRow
from core.supervisor.logs.log_reading import Level, LogLine
from core.supervisor.plan import ProcessKind
from core.supervisor.status import Phase, SystemStatus, UnitState, UnitStatus
from tui.view import CHART_SECONDS, View, WorkerRow

NOW = 1_795_600_800.0
"""2026-11-25 10:00:00 UTC."""

KINDS = {
    "simulate": "Take about a second, as real work would.",
    "echo": "Give the payload back.",
    "wordcount": "Count the words of a text.",
}
TOLD = KindDescription(
    kind="import-orders",
    description="Import the orders of a file into the shop.",
    schema=(
        '{"$ref":"#/$defs/Orders","$defs":{"Orders":{"type":"object","required":["path","format"],"properties":{'
        '"path":{"type":"string","description":"the file, below the inbox"},"format":{"enum":["csv","xlsx"]},'
        '"rows":{"type":"integer","default":1000},"dry_run":{"type":"boolean","default":false},'
        '"tags":{"type":"array","items":{"type":"string"}}}}}}'
    ),
)
"""What a worker tells of a typed kind."""

_PAYLOADS = ('"uno dos tres"', '{"path": "/data/inbox/17.csv", "rows": 48210}', '"naïve café — ☕"', "42")
_KINDS = ("wordcount", "import-orders", "echo", "simulate")
_MiB = 2**20
AWAY = (Trouble(Part.BROKER, "RabbitMQ at 127.0.0.1:5672: it stopped responding"),)


def worker(name: str, number: int, presence: Presence, rate: float, *, busy: int = 0, life: int = 1) -> WorkerRow:
    """Return the row of a worker."""
    history = tuple(max(0.0, rate * (1 + 0.4 * math.sin((second + number * 20) / 9))) for second in range(120))
    view = ProcessView(
        number=number,
        life=life,
        role=Role.WORKER,
        name=name,
        host="forge",
        pid=4000 + number,
        address="",
        threads=8,
        presence=presence,
        troubles=AWAY if presence is Presence.TROUBLED else (),
        seen_at=NOW - (42 if presence is Presence.LOST else 0.3),
        counters=Counters(done=120_000 + number * 7001, failed=number * 3, retried=number, busy_seconds=900.0),
        rate=rate,
        in_hand=tuple(RunningTask(f"order-{each}", "import-orders", NOW - each) for each in range(busy)),
    )
    slow = 8.0 if name == "w3" else 1.0
    unit = None
    if presence.alive:
        unit = part_of(name, ProcessKind.WORKER, 4000 + number, cpu=0.11 * number, memory=(30 + number) * _MiB)
    delays = Delays(0.0021, 0.012 * slow, 0.0145 * slow, 0.231 * slow) if rate else None
    return WorkerRow(process=view, history=history, delays=delays, unit=unit)


def server(name: str, number: int, rate: float) -> WorkerRow:
    """Return the row of a server."""
    view = ProcessView(
        number=number,
        role=Role.SERVER,
        name=name,
        host="forge",
        pid=3000 + number,
        address=f"127.0.0.1:710{number}",
        threads=1,
        presence=Presence.ONLINE,
        seen_at=NOW - 0.2,
        counters=Counters(accepted=200_000 * number, published=200_000 * number),
        rate=rate,
        in_hand=(),
    )
    return WorkerRow(process=view)


def part_of(
    name: str,
    kind: ProcessKind,
    pid: int | None,
    state: UnitState = UnitState.READY,
    *,
    address: str = "",
    restarts: int = 0,
    note: str = "",
    troubles: tuple[Trouble, ...] = (),
    cpu: float | None = 0.05,
    memory: int | None = 31 * _MiB,
) -> UnitStatus:
    """Return the status of a process."""
    return UnitStatus(
        name=name,
        kind=kind,
        state=state,
        pid=pid,
        address=address,
        started_at=None if pid is None else NOW - 5025,
        restarts=restarts,
        note=note,
        troubles=troubles,
        cpu=cpu if pid is not None else None,
        memory=memory if pid is not None else None,
    )


def report(phase: Phase = Phase.RUNNING) -> SystemStatus:
    """Return the status of the system."""
    return SystemStatus(
        phase=phase,
        listen="127.0.0.1:7100",
        servers=("127.0.0.1:7101", "127.0.0.1:7102", "127.0.0.1:7103"),
        broker="RabbitMQ at 127.0.0.1:5672",
        directory="/srv/tasks",
        host="forge",
        pid=2999,
        processes=(
            part_of("epmd", ProcessKind.EPMD, 3100, memory=2 * _MiB, cpu=0.0, address="127.0.0.1:4369"),
            part_of("rabbitmq", ProcessKind.RABBITMQ, 3101, memory=148 * _MiB, cpu=0.31, address="127.0.0.1:5672"),
            *(part_of(f"s{n}", ProcessKind.SERVER, 3000 + n, address=f"127.0.0.1:710{n}", cpu=0.2) for n in (1, 2, 3)),
            part_of("w1", ProcessKind.WORKER, 4001, cpu=0.42),
            part_of("w2", ProcessKind.WORKER, 4002, cpu=0.40, restarts=2),
            part_of("w3", ProcessKind.WORKER, 4003, UnitState.TROUBLED, note=str(AWAY[0]), troubles=AWAY, cpu=0.02),
            part_of(
                "w4", ProcessKind.WORKER, None, UnitState.CRASHED, restarts=5, note="died 6 times within 60 seconds"
            ),
            part_of("nginx", ProcessKind.NGINX, 3200, address="127.0.0.1:7100", memory=9 * _MiB, cpu=0.04),
        ),
    )


def view() -> View:
    """Return the view of a busy system on RabbitMQ behind NGINX, with one worker in trouble and one lost."""
    workers = (
        worker("w1", 1, Presence.BUSY, 412.0, busy=5),
        worker("w2", 2, Presence.BUSY, 388.5, busy=4, life=3),
        worker("w3", 3, Presence.TROUBLED, 3.2, busy=8),
        worker("w4", 4, Presence.LOST, 0.0),
    )
    ended = tuple(worker("w2", 6 - life, Presence.LOST, 0.0, life=life) for life in (2, 1))
    servers = (server("s1", 1, 280.0), server("s2", 2, 275.0), server("s3", 3, 251.0))
    waves = range(CHART_SECONDS)
    return View(
        number=7,
        snapshot=Snapshot(
            taken_at=NOW,
            ledger=Ledger(waiting=118, queued=2041, running=17, retrying=9, done=1_204_311, failed=312, cancelled=4),
            rate_in=806.0,
            rate_out=803.7,
            depth=Depth(ready=2024, dead=0),
            processes=tuple(row.process for row in (*servers, *workers, *ended)),
        ),
        chart=RateSeries(
            tuple(800 + 300 * math.sin(second / 23) for second in waves),
            tuple(760 + 260 * math.sin((second - 12) / 23) for second in waves),
        ),
        workers=workers,
        ended_workers=ended,
        servers=servers,
        delays=Delays(0.0021, 0.02, 0.0151, 0.31),
        report=report(),
        broker="RabbitMQ at 127.0.0.1:5672",
        directory="/srv/tasks",
        database="resultados.db",
        kinds=tuple(sorted({*KINDS, "import-orders"})),
    )


def nothing_runs() -> View:
    """Return the view of a directory in which nothing has run."""
    return View(
        number=1,
        snapshot=Snapshot(taken_at=NOW),
        broker="embedded queue in .cauce/queue.db",
        directory="/srv/tasks",
        database="resultados.db",
    )


def failure(number: int) -> Failure:
    """Return a failure."""
    causes = (
        ("TimeoutError", "the payment service did not answer within 5 seconds"),
        ("KeyError", "'customer_id'"),
        ("ValueError", "row 17: 'n/a' is not an amount"),
    )
    kind, message = causes[number % len(causes)]
    traceback = (
        "Traceback (most recent call last):\n"
        f'  File "orders.py", line {40 + number % 9}, in import_orders\n'
        "    total += amount(row)\n"
        f"{kind}: {message}"
    )
    return Failure(type=kind, message=message, traceback=traceback, signature="abc")


def task(seq: int) -> Task:
    """Return task number `seq`; every fifth has failed."""
    failed = seq % 5 == 0
    stored = NOW - (1000 - seq) * 0.37
    took = (0.004 + seq % 7 / 100) * (40 if seq % 11 == 0 else 1)
    return Task(
        seq=seq,
        id=f"order-{48_000 + seq}",
        kind=_KINDS[seq % 4],
        payload=_PAYLOADS[seq % 4],
        state=State.FAILED if failed else State.DONE,
        attempts=4 if failed else 1,
        strikes=0,
        retries=3,
        due_at=None,
        worker=f"w{seq % 3 + 1}",
        result=None if failed else ("3", '{"imported": 48210}', '"naïve café"', '{"seconds": 1.2}')[seq % 4],
        failure=failure(seq) if failed else None,
        times=Times(
            sent=stored - took - 0.011,
            received=stored - took - 0.010,
            accepted=stored - took - 0.009,
            queued=stored - took - 0.007,
            taken=stored - took - 0.002,
            started=stored - took - 0.001,
            finished=stored - 0.001,
            stored=stored,
        ),
    )


def row(of: Task) -> TaskRow:
    """Return the row of a task."""
    times = of.times
    outcome = of.result if of.failure is None else f"{of.failure.type}: {of.failure.message}"
    waited = None if times.started is None or times.queued is None else times.started - times.queued
    return TaskRow(
        seq=of.seq,
        id=of.id,
        kind=of.kind,
        state=of.state,
        attempts=of.attempts,
        worker=of.worker or "",
        payload=of.payload[:200],
        outcome=(outcome or "")[:200],
        accepted=times.accepted or 0.0,
        started=times.started,
        finished=times.finished,
        stored=times.stored,
        waited=waited,
    )


def tasks(count: int = 1000) -> Mapping[int, Task]:
    """Return tasks that have ended, by number."""
    return {seq: task(seq) for seq in range(1, count + 1)}


def log_lines() -> tuple[LogLine, ...]:
    """Return log lines of several processes."""
    said = (
        ("supervisor", Level.INFO, "cauce.supervisor: s1 is ready (pid 3001)"),
        ("s1", Level.INFO, "cauce.server: s1 is ready on 127.0.0.1:7101; broker: RabbitMQ at 127.0.0.1:5672"),
        ("w1", Level.INFO, "cauce.worker: w1 is ready: 8 at once; broker: RabbitMQ at 127.0.0.1:5672"),
        ("nginx", None, "127.0.0.1 TCP 200 1842 0.812 127.0.0.1:7102"),
        ("w3", Level.WARNING, "cauce.worker: the broker is away: connection refused; trying again in 1.8 s"),
        ("w4", Level.ERROR, "cauce.worker: the module orders could not be loaded: KeyError: 'DATABASE'"),
        ("supervisor", Level.ERROR, "cauce.supervisor: w4 died 6 times within 60 seconds: it stays down"),
    )
    return tuple(
        LogLine(process, text, level, NOW - 60 + place * 7) for place, (process, level, text) in enumerate(said)
    )


DIRECTORY = Path("/srv/tasks")
