"""How one of our programs starts another, so that it imports our modules and Python's, whatever the current directory.

`python -m` looks for modules in the current directory first: the user's own `random.py` or package `core` there would
be taken for Python's or ours.
"""

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

_ROOT = str(Path(__file__).resolve().parents[1])


def interpreter(executable: str = sys.executable) -> str:
    """Return one path for an interpreter, by whichever of its names and links it was started."""
    path = Path(executable)
    directory = path.parent.resolve()
    for name in ("python3", "python", path.name):
        candidate = directory / name
        with contextlib.suppress(OSError):
            if candidate.samefile(path):
                return str(candidate)
    return executable


def command(module: str, *arguments: str, python: str = sys.executable) -> tuple[str, ...]:
    """Return the command line that runs one of our modules. Run it with `environment`."""
    return (python, "-P", "-m", module, *arguments)


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which our modules are found, even when they are not installed but run from a clone."""
    installed = _ROOT in (sys.path if sys.flags.safe_path else sys.path[1:])
    if installed:
        return dict(inherited)
    former = inherited.get("PYTHONPATH", "")
    return {**inherited, "PYTHONPATH": os.pathsep.join(filter(None, (_ROOT, former)))}
