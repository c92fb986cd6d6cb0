"""Whether this machine can run a system in a directory: findings, each with what mends it on this platform.

The checks (`examination` makes them all) don't know of each other: one that fails says so and keeps none of the others
from being made. None changes anything that it does not undo, whether the system runs meanwhile or not.
What is made of a number or a version is told by pure functions; the commands are in `remedies`.
"""

from core.supervisor.doctor.examination import examine
from core.supervisor.doctor.finding import Finding, Verdict

__all__ = ["Finding", "Verdict", "examine"]
