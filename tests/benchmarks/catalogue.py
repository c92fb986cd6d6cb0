"""The cases that there are. A new one is a class of its own module and a line here."""

from collections.abc import Callable, Iterable

from tests.benchmarks.arrangement import Arrangement
from tests.benchmarks.case import Case
from tests.benchmarks.ceiling import Ceiling
from tests.benchmarks.services import Missing, Services

BASELINE = Ceiling.name
"""What the others are compared with."""


def _embedded(_services: Services) -> Case:
    return Arrangement("embedded", 1, 1)


def _rabbitmq(services: Services) -> Case:
    return Arrangement("rabbitmq", 1, 1, node=services.rabbitmq())


def _nginx(services: Services) -> Case:
    return Arrangement("nginx", 3, 2, nginx=services.nginx(), node=services.rabbitmq())


def _pika(services: Services) -> Case:
    return Ceiling(services.rabbitmq())


CASES: dict[str, Callable[[Services], Case]] = {
    BASELINE: _pika,
    "embedded": _embedded,
    "rabbitmq": _rabbitmq,
    "nginx": _nginx,
}


def make(names: Iterable[str], services: Services) -> tuple[list[Case], list[str]]:
    """Make cases; and why which of them can't be measured on this machine."""
    cases: list[Case] = []
    left_out: list[str] = []
    for name in names:
        try:
            cases.append(CASES[name](services))
        except Missing as reason:
            left_out.append(f"{name}: {reason}")
    return cases, left_out
