"""Versions, as requirements and paths tell them. Pure: text in, numbers and names out."""

import re
from pathlib import Path


def numbers(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with, fit to be compared."""
    found = re.match(r"\d+(\.\d+)*", version)
    parts = [int(part) for part in found[0].split(".")] if found else []
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def minimum_version(requirement: str) -> tuple[str, str]:
    """Read the name of a package and the least version; an empty name when it is needed only in some cases."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    if found is None or ";" in requirement:
        return "", ""
    least = re.search(r"(?:>=|==|~=)\s*([0-9][0-9A-Za-z.]*)", requirement)
    return found[0], least[1] if least else "0"


def version_in_path(program: Path) -> str:
    """The version of RabbitMQ in the name of the directory that it is installed in; empty when it tells none."""
    found = re.search(r"rabbitmq(?:_server-|[/\\])(\d+(?:\.\d+)+)", str(program))
    return found[1] if found else ""
