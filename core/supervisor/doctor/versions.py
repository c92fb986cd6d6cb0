"""Versions in requirements and paths. Pure: text in, numbers and names out."""

import re
from pathlib import Path


def numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version, for comparison."""
    found = re.match(r"\d+(\.\d+)*", version)
    parts = [int(part) for part in found[0].split(".")] if found else []
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def minimum_version(requirement: str) -> tuple[str, str]:
    """Return the name and the minimum version of a requirement. The name is empty for a conditional one."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    if found is None or ";" in requirement:
        return "", ""
    minimum = re.search(r"(?:>=|==|~=)\s*([0-9][0-9A-Za-z.]*)", requirement)
    return found[0], minimum[1] if minimum else "0"


def version_in_path(program: Path) -> str:
    """Return the version of RabbitMQ in the path of its program, or an empty string."""
    found = re.search(r"rabbitmq(?:_server-|[/\\])(\d+(?:\.\d+)+)", str(program))
    return found[1] if found else ""
