"""The checks of what a person has set and declared: whether it goes together, and the programs are there."""

import os
import shutil
from pathlib import Path

from core import config, encryption
from core.supervisor import declared_processes, plan
from core.supervisor.doctor.finding import Findings, Subject, ok, problem, warning


def check_settings(subject: Subject) -> Findings:
    """Whether the settings go together."""
    token = config.read_token(subject.settings)
    insecure = plan.check(subject.settings, token=token is not None)
    encryption.for_server(subject.settings)
    if insecure:
        yield warning("settings", insecure, "give a certificate with --tls-certificate and --tls-key")
    else:
        yield ok("settings", "they go together")


def check_declared(subject: Subject) -> Findings:
    """Whether all that the processes of the user's own need is there."""
    path = subject.environment.get("PATH", os.defpath)
    every = list(declared_processes.read(subject.settings, subject.home.directory))
    sound = True
    for each in every:
        missing = missing_of(each.command[0], each.directory, each.environment.get("PATH", path))
        if missing:
            sound = False
            remedy = f"install it, or correct {each.name} in {config.FILE_NAME}"
            yield problem("declared", f"{each.name}: {missing}", remedy)
    if sound:
        yield ok("declared", f"all that {len(every)} processes of your own need is there" if every else "none")


def missing_of(program: str, directory: Path, path: str) -> str:
    """Say what is missing of a command; nothing when it can be run.

    Args:
        program: its first word.
        directory: where it is run.
        path: where programs are looked for.
    """
    if not directory.is_dir():
        return f"its directory {directory} is not there"
    # A name with a directory in it is one from where the process runs.
    found = shutil.which(directory / program) if os.path.dirname(program) else shutil.which(program, path=path)
    return "" if found else f"its command {program} is not found"
