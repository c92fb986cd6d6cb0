"""The search language for ended tasks, and the order of the results. Pure.

A search is a list of words, all of which must match; `-` before a word means that it must not match:

    boom                     contained in the id, kind, worker, payload, result or error
    "two words"              the same, with a space
    kind:echo worker:w*      equal, with * for any characters
    error:timeout -id:load   contained in that field
    took>500ms waited>2 attempts>=3
    since:10m                ended in the last ten minutes
    before:1h                ended more than an hour ago
"""

import enum
import re
from collections.abc import Callable

import msgspec

from core.errors import SearchError
from core.model import State


class TextField(enum.StrEnum):
    """A field that is searched for a word."""

    ANY = "any"
    ID = "id"
    KIND = "kind"
    STATE = "state"
    WORKER = "worker"
    PAYLOAD = "payload"
    RESULT = "result"
    ERROR = "error"


class NumericField(enum.StrEnum):
    """A field that is compared with a number."""

    TOOK = "took"
    """Seconds that the last attempt ran."""
    WAITED = "waited"
    """Seconds from the moment when the task was accepted, or due again, to the beginning of the last attempt."""
    ATTEMPTS = "attempts"
    ENDED = "ended"
    """The time at which the task ended, in seconds since the epoch."""


class SortColumn(enum.StrEnum):
    """A column that results are sorted by."""

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
    """One word of a search."""

    text: str
    field: TextField = TextField.ANY
    negated: bool = False

    @property
    def is_exact(self) -> bool:
        """Whether the whole field must match, with `*` for any characters; otherwise the field contains the word."""
        return self.field in {TextField.KIND, TextField.STATE, TextField.WORKER}


class Comparison(msgspec.Struct, frozen=True):
    """A comparison of a field with a number."""

    field: NumericField
    operator: str
    """One of `<`, `<=`, `=`, `>`, `>=`."""
    number: float
    negated: bool = False


class Search(msgspec.Struct, frozen=True):
    """A search for the ended tasks that match every part of it."""

    states: tuple[State, ...] = ()
    """The states to find; all when empty."""
    terms: tuple[Term, ...] = ()
    comparisons: tuple[Comparison, ...] = ()


class SortOrder(msgspec.Struct, frozen=True):
    """The order of results. Equal ones are sorted by the time at which they ended."""

    column: SortColumn = SortColumn.ENDED
    descending: bool = True

    @property
    def is_live(self) -> bool:
        """Whether tasks that end now come first."""
        return self.column is SortColumn.ENDED and self.descending


NEWEST_FIRST = SortOrder()

_WORD = re.compile(r'-?(?:[a-z]+:)?"[^"]*"|\S+')
_COMPARISON = re.compile(r"(took|waited|attempts)(<=|>=|<|>|=)(.*)", re.DOTALL)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")
_UNITS = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_FIELDS = {field.value: field for field in TextField if field is not TextField.ANY}
MAX_LENGTH = 500
MAX_WORDS = 20


def parse(text: str, now: float) -> Search:
    """Parse a search.

    Args:
        text: the search as it was typed.
        now: seconds since the epoch, from which `since:` and `before:` count back.

    Raises:
        SearchError: the text is not a valid search; the message gives the reason, often with an example.
    """
    if len(text) > MAX_LENGTH:
        raise SearchError(f"a search has at most {MAX_LENGTH} characters")
    words = _WORD.findall(text)
    if len(words) > MAX_WORDS:
        raise SearchError(f"a search has at most {MAX_WORDS} words")
    terms: list[Term] = []
    comparisons: list[Comparison] = []
    for word in words:
        negated = word.startswith("-") and len(word) > 1
        parsed = _parse_word(word[1:] if negated else word, now, negated=negated)
        if isinstance(parsed, Term):
            terms.append(parsed)
        else:
            comparisons.append(parsed)
    return Search(terms=tuple(terms), comparisons=tuple(comparisons))


def _parse_word(word: str, now: float, *, negated: bool) -> Term | Comparison:
    found = _COMPARISON.fullmatch(word)
    if found is not None:
        return _compare(NumericField(found[1]), found[2], found[3], negated=negated)
    name, colon, rest = word.partition(":")
    if name in {"since", "before"} and colon:
        return Comparison(NumericField.ENDED, ">=" if name == "since" else "<", now - _duration(rest, word), negated)
    if name in _FIELDS and colon:
        text = _unquoted(rest)
        if not text:
            raise SearchError(f"{name}: needs a value, such as {name}:{_EXAMPLES.get(name, 'word')}")
        if name == "state" and "*" not in text:
            _check_state(text)
        return Term(text, _FIELDS[name], negated)
    return Term(_unquoted(word), negated=negated)


_EXAMPLES = {"kind": "echo", "state": "failed", "worker": "w1", "error": "timeout"}


def _compare(field: NumericField, operator: str, text: str, *, negated: bool) -> Comparison:
    readers: dict[NumericField, Callable[[str, str], float]] = {NumericField.ATTEMPTS: _count}
    number = readers.get(field, _duration)(text, f"{field}{operator}{text}")
    return Comparison(field, operator, number, negated)


def _count(text: str, word: str) -> float:
    if not text.isdecimal() or len(text) > 9:
        raise SearchError(f"{word!r} needs a whole number, such as attempts>1")
    return float(text)


def _duration(text: str, word: str) -> float:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise SearchError(f"{word!r} needs a time, such as 500ms, 2s, 10m, 1h or 1d")
    return float(found[1]) * _UNITS[found[2]]


def _check_state(text: str) -> None:
    ended = [state.value for state in State if state.ended]
    if text not in ended:
        raise SearchError(f"state: must be one of {', '.join(ended)}")


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] == '"' else text
