"""Targets for the throughput relative to peers and ceiling, and their results. Pure."""

from collections.abc import Sequence

import msgspec

from tests.benchmarks.case import Stage
from tests.benchmarks.runner import Round
from tests.benchmarks.summary import Place, compare, fastest

OVER_RABBITMQ = ("celery", "dramatiq", "taskiq")
EMBEDDED = ("huey",)
PEERS = (*OVER_RABBITMQ, *EMBEDDED)


class Target(msgspec.Struct, frozen=True):
    """A target ratio."""

    what: str
    place: Place
    """The case and stage of Cauce."""
    others: Sequence[str]
    """The other cases, of which the fastest counts."""
    stage: Stage
    """Their stage."""
    wanted: float
    """The smallest ratio that meets the target."""


class Attained(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a target."""

    what: str
    place: Place
    against: Place | None
    """The fastest of the others, or None when none was measured."""
    wanted: float
    ratio: float | None
    """None when one side was not measured."""


TARGETS = (
    Target(
        "accepted through NGINX while everything runs, against the fastest confirmed submit of a peer over RabbitMQ",
        ("nginx", Stage.MEANWHILE),
        OVER_RABBITMQ,
        Stage.ACCEPT,
        12,
    ),
    Target(
        "processed and stored by one process of 4 threads, against the fastest peer",
        ("rabbitmq", Stage.WORK),
        PEERS,
        Stage.WORK,
        8,
    ),
    Target(
        "processed and stored by one process of 4 threads, against the ceiling",
        ("rabbitmq", Stage.WORK),
        ("pika",),
        Stage.WORK,
        0.6,
    ),
    Target("embedded: accepted, against Huey", ("embedded", Stage.ACCEPT), EMBEDDED, Stage.ACCEPT, 8),
    Target("embedded: processed and stored, against Huey", ("embedded", Stage.WORK), EMBEDDED, Stage.WORK, 8),
    Target(
        "end to end with RabbitMQ and NGINX, against the fastest peer", ("nginx", Stage.WHOLE), PEERS, Stage.WHOLE, 8
    ),
)


def judge(rounds: Sequence[Round], targets: Sequence[Target] = TARGETS) -> list[Attained]:
    """Return the result of each target."""
    return [_judge(rounds, target) for target in targets]


def _judge(rounds: Sequence[Round], target: Target) -> Attained:
    other = fastest(rounds, target.others, target.stage)
    against = None if other is None else (other, target.stage)
    return Attained(
        what=target.what,
        place=target.place,
        against=against,
        wanted=target.wanted,
        ratio=None if against is None else compare(rounds, target.place, against),
    )
