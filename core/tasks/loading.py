"""Loads a user's module of tasks, by its dotted name or by its file.

An error while a module loads is the user's, so the message gives its file and line, without Cauce's own frames.
Loading runs the module and changes `sys.path`, as Python does for a program: only programs may call it.
"""

import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from core.errors import TaskDefinitionError
from core.tasks import failure, traceback_frames

Value = TypeVar("Value")


def load(name: str) -> ModuleType:
    """Load a module, given as `package.module`, as `DIRECTORY:package.module`, or as a path that ends in `.py`.

    A dotted name is searched in the directory first, which is the current one by default, as by `python -m`. A file can
    import the modules beside it, as with `python file.py`. Loading the same module again returns the same object.

    Raises:
        TaskDefinitionError: the module can't be found or loaded; the message gives the place of the error.
    """
    path = Path(name)
    if path.suffix == ".py":
        return _load_file(path)
    directory, colon, dotted = name.rpartition(":")
    if all(part.isidentifier() for part in dotted.split(".")):
        return _load_dotted(dotted, Path(directory) if colon else Path.cwd())
    if Path(directory, dotted).is_dir():
        raise TaskDefinitionError(f"{dotted} is a directory: name a file in it, or the package by its dotted name")
    raise TaskDefinitionError(f"{dotted}: neither a Python file (.py) nor the dotted name of a module")


def call(name: str, function: Callable[[], None]) -> None:
    """Call what belongs to the user's modules.

    Args:
        name: what it is, for the message about an error without a place in the user's code.
        function: is called.

    Raises:
        TaskDefinitionError: it raised an error; the message gives its place.
    """
    _execute(name, function)


def _load_dotted(name: str, directory: Path) -> ModuleType:
    _search_first(directory)
    importlib.invalidate_caches()
    try:
        return _execute(name, lambda: importlib.import_module(name))
    except ModuleNotFoundError as error:
        raise TaskDefinitionError(f"{name}: no such module, neither in {directory} nor installed: {error}") from None


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise TaskDefinitionError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    file = path.resolve()
    digest = hashlib.blake2s(os.fsencode(file), digest_size=4).hexdigest()
    name = f"cauce_tasks_{file.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise TaskDefinitionError(f"{path}: Python can't load this file")
    module = importlib.util.module_from_spec(spec)
    loader = spec.loader
    _search_first(file.parent)

    def run() -> ModuleType:
        # Registered before it runs, as by an import: dataclasses and pickle look up the module there.
        sys.modules[name] = module
        try:
            loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module

    return _execute(str(path), run)


def _search_first(directory: Path) -> None:
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))


def _execute(name: str, run: Callable[[], Value]) -> Value:
    try:
        return run()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may also call sys.exit while it is imported
        if isinstance(error, ModuleNotFoundError) and not _place(error):
            raise  # no line of the user's code has run, so the missing module is `name` itself
        raise _load_error(name, error) from None


def _load_error(name: str, error: BaseException) -> TaskDefinitionError:
    if isinstance(error, TaskDefinitionError):
        return TaskDefinitionError(str(error))
    if isinstance(error, SyntaxError) and error.filename:
        return TaskDefinitionError(f"{error.filename}:{error.lineno or 1}: {type(error).__name__}: {error.msg}")
    described = failure.describe(error)
    text = f"{described.type}: {described.message}" if described.message else described.type
    return TaskDefinitionError(f"{_place(error) or name}: {text}")


def _place(error: BaseException) -> str:
    """Return the innermost line of the user's code that led to the error, as `file:line`."""
    place = ""
    for code, line in traceback_frames.walk(error.__traceback__):
        if code.co_filename != __file__ and not traceback_frames.is_library(code.co_filename):
            place = f"{code.co_filename}:{line}"
    return place
