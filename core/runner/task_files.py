"""Finds the user's files of tasks by their module names in the processes that a task spawns.

`multiprocessing` pickles a function by the name of its module, and the module of a file has a name that no search of
`sys.path` finds. The runner leaves the names and files to its children in a variable of the environment.
"""

import importlib.util
import json
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

_VARIABLE = "CAUCE_TASK_FILES"


def announce(modules: Iterable[ModuleType], environment: MutableMapping[str, str]) -> None:
    """Leave the names and files of loaded modules to the children of this process, in its environment."""
    environment[_VARIABLE] = json.dumps({module.__name__: module.__file__ for module in modules})


class TaskFileFinder:
    """Finds the modules that the runner has announced. It belongs at the end of `sys.meta_path`.

    Args:
        environment: the environment of this process.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._files: dict[str, str] = json.loads(environment.get(_VARIABLE, "{}"))

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to load a module, or None for one that was not announced."""
        file = self._files.get(name)
        return None if file is None else importlib.util.spec_from_file_location(name, file)
