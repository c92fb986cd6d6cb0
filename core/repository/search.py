"""What a person looks for among the ended tasks: a search, read from what was typed, and an order. Pure.

A search is words, all of which must hold; `-` before one means that it must not:

    boom                     in the id, kind, worker, payload, result or error
    "two words"              the same, with the blank
    kind:echo worker:w*      these exactly, with * for anything
    error:timeout -id:load   within that text
    took>500ms waited>2 attempts>=3
    since:10m                ended within that time
"""

import enum
import re
from collections.abc import Callable

import msgspec

from core.errors import SearchError
from core.model import State


class TextField(enum.StrEnum):
    """What a word can be looked for in."""

    ANY = "any"
    ID = "id"
    KIND = "kind"
    STATE = "state"
    WORKER = "worker"
    PAYLOAD = "payload"
    RESULT = "result"
    ERROR = "error"


class NumericField(enum.StrEnum):
    """What can be compared with a number."""

    TOOK = "took"
    """Seconds that the last attempt ran."""
    WAITED = "waited"
    """Seconds that it waited for a worker."""
    ATTEMPTS = "attempts"
    ENDED = "ended"
    """When, in seconds since the epoch."""


class SortColumn(enum.StrEnum):
    """What results can be ordered by."""

    ENDED = "ended"
    NUMBER = "number"
    ID = "id"
    KIND = "kind"
    STATE = "state"
    WORKER = "worker"
    PAYLOAD = "payload"
    OUTCOME = "outcome"
    ATTEMPTS = "attempts"
    WAITED = "waited"
    TOOK = "took"


class Term(msgspec.Struct, frozen=True):
    """One word."""

    text: str
    field: TextField = TextField.ANY
    negated: bool = False

    @property
    def is_exact(self) -> bool:
        """Whether the whole of the field has to be like it, with `*` for anything; otherwise it may stand anywhere."""
        return self.field in {TextField.KIND, TextField.STATE, TextField.WORKER}


class Comparison(msgspec.Struct, frozen=True):
    """A number that is to be more, or less."""

    field: NumericField
    operator: str
    """One of `<`, `<=`, `>`, `>=`."""
    number: float
    negated: bool = False


class Search(msgspec.Struct, frozen=True):
    """Which ended tasks are wanted: those for which everything holds."""

    states: tuple[State, ...] = ()
    """Any when empty."""
    terms: tuple[Term, ...] = ()
    comparisons: tuple[Comparison, ...] = ()


class SortOrder(msgspec.Struct, frozen=True):
    """How results are ordered; those that are alike, by when they ended."""

    column: SortColumn = SortColumn.ENDED
    descending: bool = True

    @property
    def is_live(self) -> bool:
        """Whether what ends now belongs to the beginning."""
        return self.column is SortColumn.ENDED and self.descending


NEWEST_FIRST = SortOrder()

_WORD = re.compile(r'-?(?:[a-z]+:)?"[^"]*"|\S+')
_COMPARISON = re.compile(r"(took|waited|attempts)(<=|>=|<|>|=)(.*)", re.DOTALL)
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")
_UNITS = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_FIELDS = {field.value: field for field in TextField if field is not TextField.ANY}
LONGEST = 500
MOST_WORDS = 20


def parse(text: str, now: float) -> Search:
    """Read a search.

    Args:
        text: as it was typed.
        now: seconds since the epoch, from which `since:` counts back.

    Raises:
        SearchError: it can't be understood; says what would be right.
    """
    if len(text) > LONGEST:
        raise SearchError(f"a search has at most {LONGEST} characters")
    words = _WORD.findall(text)
    if len(words) > MOST_WORDS:
        raise SearchError(f"a search has at most {MOST_WORDS} words")
    terms: list[Term] = []
    comparisons: list[Comparison] = []
    for word in words:
        negated = word.startswith("-") and len(word) > 1
        read = _read(word[1:] if negated else word, now, negated=negated)
        if isinstance(read, Term):
            terms.append(read)
        else:
            comparisons.append(read)
    return Search(terms=tuple(terms), comparisons=tuple(comparisons))


def _read(word: str, now: float, *, negated: bool) -> Term | Comparison:
    found = _COMPARISON.fullmatch(word)
    if found is not None:
        return _compare(NumericField(found[1]), found[2], found[3], negated=negated)
    name, colon, rest = word.partition(":")
    if name in {"since", "before"} and colon:
        return Comparison(NumericField.ENDED, ">=" if name == "since" else "<", now - _span(rest, word), negated)
    if name in _FIELDS and colon:
        text = _unquoted(rest)
        if not text:
            raise SearchError(f"{name}: needs something to look for, such as {name}:{_EXAMPLES.get(name, 'word')}")
        if name == "state" and "*" not in text:
            _check_state(text)
        return Term(text, _FIELDS[name], negated)
    return Term(_unquoted(word), negated=negated)


_EXAMPLES = {"kind": "echo", "state": "failed", "worker": "w1", "error": "timeout"}


def _compare(field: NumericField, operator: str, text: str, *, negated: bool) -> Comparison:
    readers: dict[NumericField, Callable[[str, str], float]] = {NumericField.ATTEMPTS: _count}
    number = readers.get(field, _span)(text, f"{field}{operator}{text}")
    return Comparison(field, operator, number, negated)


def _count(text: str, word: str) -> float:
    if not text.isdecimal() or len(text) > 9:
        raise SearchError(f"{word!r} needs a whole number, such as attempts>1")
    return float(text)


def _span(text: str, word: str) -> float:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise SearchError(f"{word!r} needs a time, such as 500ms, 2s, 10m, 1h or 1d")
    return float(found[1]) * _UNITS[found[2]]


def _check_state(text: str) -> None:
    ended = [state.value for state in State if state.ended]
    if text not in ended:
        raise SearchError(f"state: must be one of {', '.join(ended)}")


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] == '"' else text
