"""Kinds of task that go wrong, to see how the system reacts. A worker knows them only with `--lab`."""

import os
from typing import NoReturn

from core import jsontext
from core.jsontext import Json
from core.tasks.definition import task

CRASH_STATUS = 70


@task("fail")
def fail(payload: Json) -> NoReturn:
    """Fail, with the payload as the message."""
    raise RuntimeError(payload if isinstance(payload, str) else jsontext.write(payload))


@task("crash")
def crash() -> NoReturn:
    """Kill the process that runs it, as a fault in a library would."""
    os._exit(CRASH_STATUS)
