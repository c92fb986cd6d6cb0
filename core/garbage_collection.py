"""How often a program that handles many small things looks for garbage in cycles.

Python looks after each 700 new objects that are still there. A process with thousands of tasks in hand makes as many at
each turn, none of them in a cycle, and spent a sixth of its time on looking.
"""

import gc

YOUNG_THRESHOLD = 10_000
"""New objects between two collections of the youngest: what tasks leave in cycles stays so much longer."""


def collect_rarely() -> None:
    """Look more rarely from now on, and leave out what is there by now: it stays as long as the program does."""
    gc.freeze()
    _, middle, old = gc.get_threshold()
    gc.set_threshold(YOUNG_THRESHOLD, middle, old)
