"""The checks of the settings, which must be consistent, and of the declared processes, whose programs must exist."""

import os
import shutil
from pathlib import Path

from core import config, encryption
from core.supervisor import declared_processes, plan
from core.supervisor.doctor.finding import Findings, Subject, ok, problem, warning


def check_settings(subject: Subject) -> Findings:
    """Check whether the settings are consistent."""
    token = config.read_token(subject.settings)
    insecure = plan.check(subject.settings, token=token is not None)
    encryption.for_server(subject.settings)
    if insecure:
        yield warning("settings", insecure, "give a certificate with --tls-certificate and --tls-key")
    else:
        yield ok("settings", "they are consistent")


def check_declared(subject: Subject) -> Findings:
    """Check whether the commands and directories of the user's own processes exist."""
    path = subject.environment.get("PATH", os.defpath)
    declared = list(declared_processes.read(subject.settings, subject.home.directory))
    is_complete = True
    for each in declared:
        missing = missing_requirement(each.command[0], each.directory, each.environment.get("PATH", path))
        if missing:
            is_complete = False
            remedy = f"install it, or correct {each.name} in {config.FILE_NAME}"
            yield problem("declared", f"{each.name}: {missing}", remedy)
    if is_complete:
        text = f"the commands and directories of your {len(declared)} processes exist" if declared else "none"
        yield ok("declared", text)


def missing_requirement(program: str, directory: Path, path: str) -> str:
    """Return what keeps a command from running, or an empty string.

    Args:
        program: the first word of the command.
        directory: the working directory.
        path: the directories that are searched for programs.
    """
    if not directory.is_dir():
        return f"its directory {directory} does not exist"
    # A name with a directory in it is relative to the working directory.
    found = shutil.which(directory / program) if os.path.dirname(program) else shutil.which(program, path=path)
    return "" if found else f"its command {program} is not found"
