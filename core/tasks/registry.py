"""The kinds of task that a worker knows, collected from modules.

A program makes one registry at its start. It never changes, so threads can share it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from types import ModuleType

from core.errors import TaskDefinitionError, UnknownKind
from core.tasks import builtin, lab, lifespan, typed_payloads
from core.tasks.definition import TaskDefinition, definition_of

_NAMES_SHOWN = 12


class Registry:
    """The task definitions by kind."""

    def __init__(self, definitions: Iterable[TaskDefinition]) -> None:
        """Collect definitions. The same one may occur twice, as when a module imports a function from another.

        Raises:
            TaskDefinitionError: two functions define the same kind, and the message gives both places; or the
                annotation of a payload can't be used.
        """
        self._definitions: dict[str, TaskDefinition] = {}
        for definition in definitions:
            known = self._definitions.setdefault(definition.kind, _complete(definition))
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
        """Return the definition of a kind.

        Raises:
            UnknownKind: the kind is not known; the message suggests similar names.
        """
        definition = self._definitions.get(kind)
        if definition is None:
            raise UnknownKind(f"no function is registered for the kind {kind!r}; {self._suggestion(kind)}")
        return definition

    def _suggestion(self, kind: str) -> str:
        import difflib  # only for an error

        similar = difflib.get_close_matches(kind, self.kinds, n=3)
        if similar:
            return f"did you mean {' or '.join(similar)}?"
        more = " …" if len(self.kinds) > _NAMES_SHOWN else ""
        return f"this worker knows {', '.join(self.kinds[:_NAMES_SHOWN])}{more}"


def _complete(definition: TaskDefinition) -> TaskDefinition:
    """Return a definition with what is known only when its module has been imported."""
    wrappers = lifespan.wrappers_of(definition.function)
    try:
        decode = typed_payloads.decoder_of(definition.function) if definition.arguments else None
        schema = typed_payloads.schema_of(definition.function) if decode is not None else ""
    except TaskDefinitionError as error:
        raise TaskDefinitionError(f"{definition.place}: task {definition.kind!r}: {error}") from None
    return replace(definition, wrappers=wrappers, decode=decode, schema=schema)


def collect(module: ModuleType) -> list[TaskDefinition]:
    """Return the definitions of the task functions in a module's namespace, imported ones too.

    Raises:
        TaskDefinitionError: the module has none, or another decorator hides one.
    """
    found = (definition_of(value) for value in list(vars(module).values()))
    definitions = [definition for definition in found if definition is not None]
    if not definitions:
        where = getattr(module, "__file__", None) or module.__name__
        raise TaskDefinitionError(f"{where}: no task is defined here: decorate a function with @task")
    return definitions


def builtin_registry(lab_kinds: bool = False, modules: Sequence[ModuleType] = ()) -> Registry:
    """Make a registry of the built-in kinds and those of the given modules.

    Args:
        lab_kinds: whether to add the kinds that go wrong.
        modules: the user's modules.

    Raises:
        TaskDefinitionError: a module defines no task, or a kind that exists already.
    """
    own = [builtin, lab] if lab_kinds else [builtin]
    return Registry(definition for module in [*own, *modules] for definition in collect(module))
