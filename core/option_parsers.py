"""Parsers of option values: each makes a value from text, or raises `ValueError` with what the text must be.

They know nothing of where the text was found.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from core.addresses import Address
from core.errors import ConfigurationError

T = TypeVar("T")

_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)([KMGT]?)(?:I?B)?")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def text(value: str) -> str:
    """Return the text, which must not be empty, without surrounding spaces."""
    if not value.strip():
        raise ValueError("must not be empty")
    return value.strip()


def optional_text(value: str) -> str:
    """Return the text, which may be empty, without surrounding spaces."""
    return value.strip()


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Make a parser of whole numbers within bounds."""

    def read(value: str) -> int:
        try:
            number = int(value)
        except ValueError:
            raise ValueError("must be a whole number") from None
        if not least <= number <= most:
            raise ValueError(f"must be from {least} to {most}")
        return number

    return read


def seconds(least: float, most: float) -> Callable[[str], float]:
    """Make a parser of seconds within bounds."""

    def read(value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            raise ValueError("must be a number of seconds") from None
        if not least <= number <= most:
            raise ValueError(f"must be from {least:g} to {most:g} seconds")
        return number

    return read


def size(value: str) -> int:
    """Return the number of bytes written as `500M` or `1.5G`, in units of 1024, or as a plain number."""
    match = _SIZE.fullmatch(value.strip().upper())
    if match is None:
        raise ValueError("must be a number of bytes, or one with K, M, G or T, such as 500M")
    number, unit = match.groups()
    return int(float(number) * _UNITS[unit or ""])


def choice(*names: str) -> Callable[[str], str]:
    """Make a parser of one of the names, in any case."""

    def read(value: str) -> str:
        if value.lower() not in names:
            raise ValueError(f"must be one of {', '.join(names)}")
        return value.lower()

    return read


def switch(value: str) -> bool:
    """Return the truth value of words such as `yes` and `off`."""
    if value.lower() in {"1", "true", "yes", "on"}:
        return True
    if value.lower() in {"0", "false", "no", "off"}:
        return False
    raise ValueError("must be true or false")


def address(value: str) -> Address:
    """Return the address written as `host:port`."""
    try:
        return Address.parse(value)
    except ConfigurationError as error:
        raise ValueError(str(error)) from error


def several(read: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """Make a parser of values separated by commas, each parsed by `read`."""

    def read_all(value: str) -> tuple[T, ...]:
        return tuple(read(part.strip()) for part in value.split(",") if part.strip())

    return read_all


def is_utf8(value: str) -> bool:
    """Return whether the text, which may come from a command line of any bytes, is UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def absolute_path(value: str, base: Path) -> str:
    """Return the path made absolute: a relative one starts at `base`."""
    return str(base / value)


def task_modules(value: str) -> tuple[str, ...]:
    """Return the modules separated by commas. The name of an existing file or directory may hold commas."""
    return tuple(_split_modules(value, Path()))


def absolute_task_modules(value: str, base: Path) -> str:
    """Return the modules separated by commas, each with the directory that it was given in.

    A file has an absolute path; a dotted name becomes `DIRECTORY:NAME`, for it is searched in that directory first.
    """
    return ",".join(_absolute_module(module, base) for module in _split_modules(value, base))


def _absolute_module(module: str, base: Path) -> str:
    if module.endswith(".py"):
        return str(base / module)
    directory, _, name = module.rpartition(":")
    return f"{base / directory}:{name}"


def _split_modules(value: str, base: Path) -> Iterator[str]:
    parts = value.split(",")
    while parts:
        candidates = ((count, ",".join(parts[:count]).strip()) for count in range(len(parts), 1, -1))
        count, module = next((found for found in candidates if _has_comma(found[1], base)), (1, parts[0].strip()))
        del parts[:count]
        if module:
            yield module


def _has_comma(candidate: str, base: Path) -> bool:
    """Return whether a text with a comma is one module: an existing file, or a name in an existing directory."""
    directory, colon, name = candidate.rpartition(":")
    return (base / candidate).is_file() or (bool(colon) and "," not in name and (base / directory).is_dir())
