"""A server without timeouts: it keeps clients that send slowly or never read."""

import sys

from core.launch import launch
from core.server import options, program
from core.server.__main__ import run
from core.server.connection import AcceptedConnection


class PatientConnection(AcceptedConnection):
    """Has no timeouts."""

    def check_timeouts(self, now: float) -> None:
        """Apply no timeout."""


if __name__ == "__main__":
    program.AcceptedConnection = PatientConnection  # type: ignore[attr-defined]  # this is what is wrong with it
    sys.exit(launch("tests.faults.broken.patient_server", "Wait for clients for ever.", options.OPTIONS, run))
