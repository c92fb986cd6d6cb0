"""The files of the user's modules, so that a worker with `--reload` can see when one changes."""

import os
import sys

import core
from core.file_states import FileState, state_of
from core.tasks import traceback_frames

MAX_FILES = 2000
"""Files that are told. What comes after them is not watched."""

_OURS = os.path.join(os.path.dirname(core.__file__), "")


def imported() -> tuple[FileState, ...]:
    """Return the files of the modules that are imported and belong neither to Python, nor to packages, nor to us."""
    found: list[FileState] = []
    for module in list(sys.modules.values()):
        name = getattr(module, "__file__", None)
        if isinstance(name, str) and not traceback_frames.is_library(name) and not name.startswith(_OURS):
            found.append(state_of(name))
    return tuple(found[:MAX_FILES])
