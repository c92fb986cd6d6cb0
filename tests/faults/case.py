"""One case of the campaign: a function that attacks a system and returns the outcome."""

from collections.abc import Callable

import msgspec

from tests.faults.context import CaseContext
from tests.faults.values import Outcome, Profile


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A case of the campaign."""

    name: str
    target: str
    """What the case must show, for the report."""
    run: Callable[[CaseContext], Outcome]
    profiles: frozenset[Profile] = frozenset(Profile)
    """The profiles that include it."""
    rabbitmq: bool = False
    nginx: bool = False
    """Whether the machine must have RabbitMQ and NGINX."""
    programs: tuple[str, ...] = ()
    """Other programs that must be on PATH."""


ONLY_LONG = frozenset({Profile.LONG})
