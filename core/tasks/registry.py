"""The kinds of task that a worker knows, collected from modules.

A registry is made once, by the program that needs it, and never changes; threads share it freely.
"""

import difflib
from collections.abc import Iterable, Sequence
from types import ModuleType

from core.errors import TaskDefinitionError, UnknownKind
from core.tasks import builtin, lab
from core.tasks.definition import TaskDefinition, definition_of

_NAMES_SHOWN = 12


class Registry:
    """Task definitions by the names of their kinds."""

    def __init__(self, definitions: Iterable[TaskDefinition]) -> None:
        """Enter definitions; the same one may come twice, as it does when a module imports it from another.

        Raises:
            TaskDefinitionError: two functions claim the same kind; the message names both places.
        """
        self._definitions: dict[str, TaskDefinition] = {}
        for definition in definitions:
            known = self._definitions.setdefault(definition.kind, definition)
            if known.function is not definition.function:
                raise TaskDefinitionError(
                    f"the kind {definition.kind!r} is defined twice: at {known.place} and at {definition.place}"
                )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of all kinds, in alphabetical order."""
        return tuple(sorted(self._definitions))

    @property
    def definitions(self) -> tuple[TaskDefinition, ...]:
        """All definitions, in the order of `kinds`."""
        return tuple(self._definitions[kind] for kind in self.kinds)

    def get(self, kind: str) -> TaskDefinition:
        """The definition of a kind.

        Raises:
            UnknownKind: there is none; the message lists names that are near.
        """
        definition = self._definitions.get(kind)
        if definition is None:
            raise UnknownKind(f"no function is registered for the kind {kind!r}; {self._suggestion(kind)}")
        return definition

    def _suggestion(self, kind: str) -> str:
        near = difflib.get_close_matches(kind, self.kinds, n=3)
        if near:
            return f"did you mean {' or '.join(near)}?"
        more = " …" if len(self.kinds) > _NAMES_SHOWN else ""
        return f"this worker knows {', '.join(self.kinds[:_NAMES_SHOWN])}{more}"


def collect(module: ModuleType) -> list[TaskDefinition]:
    """The definitions of the marked functions in a module's namespace, also of those it imported from elsewhere.

    Raises:
        TaskDefinitionError: there are none, or one is hidden behind another decorator.
    """
    found = (definition_of(value) for value in list(vars(module).values()))
    definitions = [definition for definition in found if definition is not None]
    if not definitions:
        where = getattr(module, "__file__", None) or module.__name__
        raise TaskDefinitionError(f"{where}: no task is defined here: mark a function with @task")
    return definitions


def builtin_registry(lab_kinds: bool = False, modules: Sequence[ModuleType] = ()) -> Registry:
    """Make a registry of the built-in kinds and those of the given modules.

    Args:
        lab_kinds: also the kinds that break things, for learning.
        modules: the user's own.

    Raises:
        TaskDefinitionError: a module defines no task, or a kind that is there already.
    """
    ours = [builtin, lab] if lab_kinds else [builtin]
    return Registry(definition for module in [*ours, *modules] for definition in collect(module))
