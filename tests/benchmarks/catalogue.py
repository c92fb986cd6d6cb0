"""All cases. A new one is a class in a new module and a line here."""

from collections.abc import Callable, Iterable
from functools import partial

from tests.benchmarks.case import Case
from tests.benchmarks.cauce_case import CauceCase
from tests.benchmarks.ceiling import Ceiling
from tests.benchmarks.embedded_ceiling import QueueCeiling, SqliteCeiling
from tests.benchmarks.peers.kinds import HUEY, KINDS, Kind
from tests.benchmarks.peers.peer import Peer
from tests.benchmarks.services import Missing, Services

BASELINE = Ceiling.name
"""The case with which the others are compared."""

CEILINGS = {
    SqliteCeiling.name: SqliteCeiling.name,
    QueueCeiling.name: SqliteCeiling.name,
    "embedded": QueueCeiling.name,
    HUEY.name: QueueCeiling.name,
}
"""The cases with which those without RabbitMQ are compared."""


def _embedded(_services: Services) -> Case:
    return CauceCase("embedded", 1, 1)


def _rabbitmq(services: Services) -> Case:
    return CauceCase("rabbitmq", 1, 1, node=services.rabbitmq())


def _nginx(services: Services) -> Case:
    return CauceCase("nginx", 3, 2, nginx=services.nginx(), node=services.rabbitmq())


def _nginx_before_two(services: Services) -> Case:
    return CauceCase("nginx2", 2, 2, nginx=services.nginx(), node=services.rabbitmq())


def _peer(kind: Kind, services: Services) -> Case:
    services.packages(kind.packages)
    return Peer(kind, services.rabbitmq() if kind.rabbitmq else None)


def _pika(services: Services) -> Case:
    return Ceiling(services.rabbitmq())


CASES: dict[str, Callable[[Services], Case]] = {
    BASELINE: _pika,
    SqliteCeiling.name: lambda _services: SqliteCeiling(),
    QueueCeiling.name: lambda _services: QueueCeiling(),
    "embedded": _embedded,
    "rabbitmq": _rabbitmq,
    "nginx": _nginx,
    "nginx2": _nginx_before_two,
    **{kind.name: partial(_peer, kind) for kind in KINDS},
}


def make(names: Iterable[str], services: Services) -> tuple[list[Case], list[str]]:
    """Make cases. Returns them, and the reasons for those that can't be measured on this machine."""
    cases: list[Case] = []
    left_out: list[str] = []
    for name in names:
        try:
            cases.append(CASES[name](services))
        except Missing as reason:
            left_out.append(f"{name}: {reason}")
    return cases, left_out
