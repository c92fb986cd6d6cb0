"""The report of a benchmark with its own kind of measurement: as a value, as JSON and as Markdown. Pure."""

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from tests.benchmarks.machine import Machine, describe
from tests.benchmarks.report import table

Figure = TypeVar("Figure")


class Document(msgspec.Struct, Generic[Figure], frozen=True, kw_only=True):
    """The report of one run."""

    title: str
    date: str
    command: str
    seconds: float
    """Duration of the run."""
    machine: Machine
    settings: Mapping[str, str]
    """The description of each setting."""
    left_out: Sequence[str]
    """What could not be measured here, with the reasons."""
    figures: Sequence[Figure]


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A section of the report: a text and a table."""

    title: str
    text: str
    heads: Sequence[str]
    lines: Sequence[Sequence[str]]


def write_json(document: Document[Figure]) -> bytes:
    """Return the report as JSON."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def write_markdown(document: Document[Figure], sections: Sequence[Section], picture: str = "") -> str:
    """Return the report as Markdown.

    Args:
        document: the measurements.
        sections: the texts and tables.
        picture: name of the file of the plot; empty for none.
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
