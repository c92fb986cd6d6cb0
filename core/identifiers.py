"""Identifiers of tasks and names of task kinds.

Generated identifiers are UUIDs of version 7 (RFC 9562, section 5.7). They sort by the time of their creation,
so that the journal's index of ids grows at its end.
"""

import os
import re
import time

TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
"""A valid task id: 1 to 64 letters, digits, and `.` `_` `:` `-`, beginning with a letter or digit."""

KIND = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")
"""A valid name of a task kind: 1 to 64 letters, digits, and `.` `_` `-`, beginning with a letter."""


def new_id(now: float | None = None) -> str:
    """Make a UUID of version 7.

    Args:
        now: seconds since the epoch; by default the time of the machine's clock.
    """
    milliseconds = int((time.time() if now is None else now) * 1000)
    raw = f"{milliseconds & 0xFFFFFFFFFFFF:012x}{os.urandom(10).hex()}"
    variant = "89ab"[int(raw[16], 16) & 3]
    return f"{raw[:8]}-{raw[8:12]}-7{raw[13:16]}-{variant}{raw[17:20]}-{raw[20:32]}"
