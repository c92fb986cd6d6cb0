"""A server that holds nobody to a limit of time: neither who dribbles nor who never reads is cut."""

import sys

from core.launch import launch
from core.server import options, program
from core.server.__main__ import run
from core.server.connection import AcceptedConnection


class PatientConnection(AcceptedConnection):
    """Waits for its client for ever."""

    def check(self, now: float) -> None:
        """Allow everything."""


if __name__ == "__main__":
    program.AcceptedConnection = PatientConnection  # type: ignore[attr-defined]  # this is what is wrong with it
    sys.exit(launch("tests.faults.broken.patient_server", "Wait for clients for ever.", options.OPTIONS, run))
