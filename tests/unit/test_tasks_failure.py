"""Any exception becomes text of bounded size, and equal causes get equal signatures."""

import functools
import json
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import TaskTimeout
from core.model import Failure
from core.runner.interruption import RunInterruption
from core.tasks import TaskContext, builtin_registry, describe, run, task
from core.tasks.definition import definition_of
from core.tasks.failure import MAX_MESSAGE, MAX_TRACEBACK, MAX_TYPE

CONTEXT = TaskContext(id="t", kind="k", attempt=1, interruption=RunInterruption())


def failure_of(function: Callable[[], object]) -> Failure:
    """Return the exception that a worker would catch from a function."""
    copy = task("kind")(lambda: function())
    definition = definition_of(copy)
    assert definition is not None
    try:
        run(definition, "null", CONTEXT)
    except BaseException as error:  # noqa: BLE001  # as a worker catches it
        return describe(error)
    raise AssertionError("nothing was raised")


def raising(error: BaseException) -> Callable[[], NoReturn]:
    def function() -> NoReturn:
        raise error

    return function


def assert_storable(failure: Failure) -> None:
    limits = {"type": MAX_TYPE, "message": MAX_MESSAGE, "traceback": MAX_TRACEBACK, "signature": 12}
    for name, limit in limits.items():
        text = getattr(failure, name)
        assert type(text) is str
        assert len(text.encode("utf-8")) <= limit
        assert "\0" not in text


class BrokenStr(Exception):
    """An exception whose `str` raises."""

    def __str__(self) -> str:
        raise ZeroDivisionError


class LeavingStr(Exception):
    """An exception whose `str` exits."""

    def __str__(self) -> str:
        raise SystemExit


class StrOfNumber(Exception):
    """An exception whose `str` returns a number."""

    def __str__(self) -> str:
        return 5  # type: ignore[return-value]  # which is what is broken


class BrokenRepr(Exception):
    """An object whose `repr` raises."""

    def __repr__(self) -> str:
        raise ZeroDivisionError


class RecursiveRepr(Exception):
    """An object whose `repr` recurses."""

    def __repr__(self) -> str:
        return repr(self)

    __str__ = __repr__


class OddText(str):
    """A text whose methods lie."""

    def __getitem__(self, key: object) -> Any:
        raise ZeroDivisionError

    def encode(self, *_: object, **__: object) -> Any:
        """Fail."""
        raise ZeroDivisionError

    def __len__(self) -> int:
        return -1


class OddStr(Exception):
    """An exception whose `str` returns such a text."""

    def __str__(self) -> str:
        return OddText("odd \ud800")


class Meta(type):
    """A class whose name raises."""

    @property
    def __name__(cls) -> str:  # type: ignore[override]  # which is what is broken
        raise ZeroDivisionError


class Nameless(Exception, metaclass=Meta):
    """An exception of such a class."""


class BrokenLinks(Exception):
    """An exception whose attributes raise."""

    @property
    def __cause__(self) -> BaseException | None:  # type: ignore[override]  # which is what is broken
        raise ZeroDivisionError

    @property
    def __traceback__(self) -> TracebackType | None:  # type: ignore[override]  # which is what is broken
        raise ZeroDivisionError

    @property
    def __notes__(self) -> list[str]:  # type: ignore[override]  # which is what is broken
        raise ZeroDivisionError


def recurse(depth: int = 0) -> int:
    return recurse(depth + 1) + 1


def ping(depth: int) -> int:
    return pong(depth + 1)


def pong(depth: int) -> int:
    return ping(depth + 1)


def long_chain() -> None:
    error: Exception = ValueError("first")
    for number in range(5000):
        following = ValueError(number)
        following.__context__ = error
        error = following
    raise error


def ring() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    raise first


def wide_group() -> None:
    raise ExceptionGroup("many", [ValueError("x" * 5000) for _ in range(1000)])


def deep_group() -> None:
    group: Exception = ValueError("innermost")
    for _ in range(100):
        group = ExceptionGroup("outer", [group])
    raise group


def unpaired_note() -> None:
    error = ValueError("noted")
    error.add_note("see \udcff")
    error.__notes__.append(5)  # type: ignore[arg-type]  # as any code may
    raise error


HUGE_NAME = type("Ñ" + "x" * 100_000, (Exception,), {})

CASES: dict[str, tuple[Callable[[], object], str, str]] = {
    "plain": (raising(ValueError("no")), "ValueError", "no"),
    "empty": (raising(ValueError()), "ValueError", ""),
    "broken str": (raising(BrokenStr()), "BrokenStr", "can't be shown"),
    "leaving str": (raising(LeavingStr()), "LeavingStr", "can't be shown"),
    "str of a number": (raising(StrOfNumber()), "StrOfNumber", "can't be shown"),
    "broken repr": (raising(BrokenRepr("a")), "BrokenRepr", "a"),
    "repr inside": (raising(ValueError(BrokenRepr("a"), 1)), "ValueError", "can't be shown"),
    "recursive repr": (raising(RecursiveRepr()), "RecursiveRepr", "can't be shown"),
    "odd text": (raising(OddStr()), "OddStr", r"odd \ud800"),
    "nameless": (raising(Nameless("x")), "Exception", "x"),
    "broken links": (raising(BrokenLinks("x")), "BrokenLinks", "x"),
    "surrogate": (raising(ValueError("a\udcffb")), "ValueError", r"a\udcffb"),
    "nul": (raising(ValueError("a\0b")), "ValueError", r"a\x00b"),
    "huge": (raising(ValueError("ñ" * 10_000_000)), "ValueError", "ñ […]"),
    "huge name": (raising(HUGE_NAME("x")), "[…]", "x"),
    "system exit": (lambda: sys.exit(3), "SystemExit", "3"),
    "keyboard interrupt": (raising(KeyboardInterrupt()), "KeyboardInterrupt", ""),
    "generator exit": (raising(GeneratorExit()), "GeneratorExit", ""),
    "group": (raising(BaseExceptionGroup("both", [SystemExit(1), ValueError("b")])), "BaseExceptionGroup", "both"),
    "wide group": (wide_group, "ExceptionGroup", "many"),
    "deep group": (deep_group, "ExceptionGroup", "outer"),
    "recursion": (recurse, "RecursionError", "recursion"),
    "mutual recursion": (lambda: ping(0), "RecursionError", "recursion"),
    "memory": (lambda: bytearray(1 << 62), "MemoryError", ""),
    "long chain": (long_chain, "ValueError", "4999"),
    "ring": (ring, "ValueError", "a"),
    "note": (unpaired_note, "ValueError", "noted"),
    "syntax": (lambda: compile("a b", "<text>", "exec"), "SyntaxError", "line 1"),
    "key": (lambda: dict[str, int]()["missing"], "KeyError", "missing"),
    "decode": (lambda: b"\xff".decode(), "UnicodeDecodeError", "0xff"),
    "time-out": (raising(TaskTimeout("over")), "TaskTimeout", "over"),
}


@pytest.mark.parametrize("name", CASES)
def test_every_exception_can_be_described(name: str) -> None:
    function, kind, message = CASES[name]
    failure = failure_of(function)
    assert_storable(failure)
    assert kind in failure.type
    assert message in failure.message
    if name != "broken links":
        assert len(failure.signature) == 12 or name == "nameless"
    assert name in {"broken links", "memory"} or "Traceback" in failure.traceback


@given(st.text(st.characters()))
def test_any_message_is_storable_and_ascii_stays(text: str) -> None:
    failure = describe(ValueError(text))
    assert_storable(failure)
    if text.isascii() and "\0" not in text and len(text) <= MAX_MESSAGE:
        assert failure.message == text


def test_an_exception_that_was_never_raised_has_no_frames() -> None:
    assert describe(ValueError("x")).traceback == "ValueError: x\n"


def outer_call() -> None:
    inner_call()


def inner_call() -> None:
    raise KeyError("x")


def test_the_traceback_shows_the_users_frames_and_not_the_runners() -> None:
    text = failure_of(outer_call).traceback
    assert text.index("in outer_call") < text.index("in inner_call") < text.index("KeyError: 'x'")
    assert 'raise KeyError("x")' in text
    assert "running.py" not in text
    assert "failure_of" not in text


def test_a_timeout_ends_at_the_users_line() -> None:
    context = TaskContext(id="t", kind="k", attempt=1, deadline=0.0, interruption=RunInterruption(), clock=lambda: 1.0)
    try:
        run(builtin_registry().get("sleep"), "5", context)
    except TaskTimeout as error:
        failure = describe(error)
    assert failure.type == "TaskTimeout"
    assert "context.wait(seconds)" in failure.traceback
    assert "context.py" not in failure.traceback


def caused() -> None:
    try:
        inner_call()
    except KeyError as error:
        raise ValueError("second") from error


def during() -> None:
    try:
        inner_call()
    except KeyError:
        raise ValueError("second")  # noqa: B904  # the test needs the missing `from`


def silenced() -> None:
    try:
        inner_call()
    except KeyError:
        raise ValueError("second") from None


def test_causes_are_linked_as_python_does() -> None:
    direct = failure_of(caused).traceback
    assert direct.index("KeyError: 'x'") < direct.index("direct cause") < direct.index("ValueError: second")
    assert "During handling" in failure_of(during).traceback
    assert "KeyError" not in failure_of(silenced).traceback.replace("except KeyError", "")


def test_a_long_traceback_keeps_head_and_tail() -> None:
    text = failure_of(recurse).traceback
    assert "in <lambda>" in text
    assert " more …]" in text
    assert text.rstrip().endswith("exceeded") or "RecursionError" in text[-200:]


def test_a_long_chain_keeps_its_end() -> None:
    text = failure_of(long_chain).traceback
    assert text.startswith("[… earlier exceptions left out …]")
    assert "ValueError: 4999" in text
    assert "ValueError: 4992" in text
    assert "ValueError: 4991" not in text


def test_text_that_is_too_long_is_cut_in_the_middle() -> None:
    failure = failure_of(wide_group)
    assert "[… cut here …]" in failure.traceback
    assert "Traceback" in failure.traceback[:100]
    assert failure.traceback.rstrip().endswith("[… more left out …]")


def test_members_of_a_group_and_notes_are_shown() -> None:
    text = failure_of(raising(ExceptionGroup("both", [ValueError("left"), KeyError("right")]))).traceback
    assert "  | ValueError: left" in text
    assert "  | KeyError: 'right'" in text
    assert r"see \udcff" in failure_of(unpaired_note).traceback


def parse_number(text: str) -> object:
    return json.loads(text)


def other_parse(text: str) -> object:
    return json.loads(text)


def fails_at_one_line(message: str) -> None:
    raise ValueError(message)


def fails_at_two_lines(first: bool) -> None:
    if first:
        raise ValueError("one")
    raise ValueError("two")


def test_the_same_cause_has_the_same_signature() -> None:
    first = failure_of(lambda: fails_at_one_line("a")).signature
    assert first == failure_of(lambda: fails_at_one_line("b" * 9999)).signature
    assert (
        failure_of(lambda: fails_at_two_lines(True)).signature
        == failure_of(lambda: fails_at_two_lines(False)).signature
    )


def test_the_path_through_a_library_makes_no_difference() -> None:
    long, short = (failure_of(functools.partial(parse_number, text)) for text in ("{", "1 2"))
    assert long.traceback.count("File") > short.traceback.count("File")
    assert long.signature == short.signature


def test_the_depth_of_a_recursion_makes_no_difference() -> None:
    def fall(depth: int) -> None:
        if depth == 0:
            raise ValueError
        fall(depth - 1)

    assert len({failure_of(functools.partial(fall, depth)).signature for depth in (1, 5, 200)}) == 1


def test_another_place_or_type_has_another_signature() -> None:
    failures = [
        failure_of(lambda: parse_number("{")),
        failure_of(lambda: other_parse("{")),
        failure_of(raising(ValueError("x"))),
        failure_of(raising(KeyError("x"))),
        failure_of(recurse),
        failure_of(lambda: ping(0)),
    ]
    assert len({failure.signature for failure in failures}) == len(failures)
