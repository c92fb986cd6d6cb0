"""One case of the campaign: a function that attacks a system and tells what held."""

from collections.abc import Callable

import msgspec

from tests.faults.arena import Arena
from tests.faults.values import Outcome, Profile


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One case."""

    name: str
    target: str
    """What it has to show, for the report."""
    run: Callable[[Arena], Outcome]
    profiles: frozenset[Profile] = frozenset(Profile)
    """When it is run."""
    rabbitmq: bool = False
    nginx: bool = False
    """What must be on the machine."""
    programs: tuple[str, ...] = ()
    """Further programs that must be on PATH, by their names."""


ONLY_LONG = frozenset({Profile.LONG})
