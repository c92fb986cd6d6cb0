"""The report of a benchmark that has figures of its own kind: as a value, as JSON, and as Markdown for people. Pure."""

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from tests.benchmarks.machine import Machine, describe
from tests.benchmarks.report import table

Figure = TypeVar("Figure")


class Document(msgspec.Struct, Generic[Figure], frozen=True, kw_only=True):
    """Everything that there is to say about one run."""

    title: str
    date: str
    command: str
    seconds: float
    """How long it took."""
    machine: Machine
    settings: Mapping[str, str]
    """What each setting is."""
    left_out: Sequence[str]
    """What could not be measured here, and why."""
    figures: Sequence[Figure]


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the report: what it is about, and a table."""

    title: str
    text: str
    heads: Sequence[str]
    lines: Sequence[Sequence[str]]


def write_json(document: Document[Figure]) -> bytes:
    """The report as JSON."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def write_markdown(document: Document[Figure], sections: Sequence[Section], picture: str = "") -> str:
    """The report as Markdown that can be read as it is.

    Args:
        document: what was measured.
        sections: what it means.
        picture: the name of a file beside it, if there is one.
    """
    parts = [
        f"# {document.title} of {document.date}",
        describe(document.machine),
        f"`{document.command}` took {document.seconds:.0f} seconds.",
        "\n".join(f"- {name}: {description}." for name, description in document.settings.items()),
        "\n".join(f"- Left out: {reason}." for reason in document.left_out),
        f"![{document.title}]({picture})" if picture else "",
    ]
    for section in sections:
        parts += [f"## {section.title}", section.text, table(section.heads, section.lines)]
    return "\n\n".join(part for part in parts if part) + "\n"
