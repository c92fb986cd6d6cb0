"""How a program of ours starts another one, so that it imports our modules and Python's, wherever it is started.

`python -m` looks for modules in the current directory first: a `random.py` or a package `core` of the user's there
would be taken for Python's or ours.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

_ROOT = str(Path(__file__).resolve().parents[1])


def command(module: str, *arguments: str, python: str = sys.executable) -> tuple[str, ...]:
    """Return the command line that runs a module of ours. Run it with `environment`."""
    return (python, "-P", "-m", module, *arguments)


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which our modules are found, also where they are not installed but run from a clone."""
    installed = _ROOT in (sys.path if sys.flags.safe_path else sys.path[1:])
    if installed:
        return dict(inherited)
    former = inherited.get("PYTHONPATH", "")
    return {**inherited, "PYTHONPATH": os.pathsep.join(filter(None, (_ROOT, former)))}
