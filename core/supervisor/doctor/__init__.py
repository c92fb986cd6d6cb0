"""Checks whether this machine can run a system in a directory. Each finding has the remedy on this platform.

The checks are independent: one that fails becomes a finding, and the others are still made (`examination`). A check
leaves no trace, whether the system runs meanwhile or not. Judging a number or a version is pure; the commands that mend
something are in `remedies`. The checks are imported with `examination`, which only the command `doctor` needs.
"""

from core.supervisor.doctor.finding import Finding, Verdict

__all__ = ["Finding", "Verdict"]
