"""The frames between a worker and its runners."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model import Failure
from core.runner.frames import (
    Attach,
    Ended,
    GiveBack,
    GivenBack,
    Interrupt,
    Interrupted,
    KindSettings,
    Ready,
    Run,
    Setup,
    SetupRefused,
    Stop,
    encode,
    runner_reader,
    worker_reader,
)

TO_RUNNER = (
    Setup(("tasks.py", "a.b"), lab=True, files_root=None, threads=4, timeout=1.5),
    Attach("/a/file"),
    Run(7, "an-id", "echo", '"ñandú"', 2),
    GiveBack(),
    Interrupt(),
    Stop(),
)
TO_WORKER = (
    Ready((KindSettings("echo", None, None), KindSettings("mail.send", 5, 30.0))),
    SetupRefused("x.py:1: SyntaxError"),
    Ended(7, 1.5, '"ñandú"'),
    Ended(8, 1.5, None, Failure(type="ValueError", message="no"), permanent=True),
    Ended(8, 1.5, None, Failure(type="RetryAfter", message="later"), retry_after=60.0),
    Interrupted(3),
    GivenBack((1, 2)),
)


@given(st.lists(st.sampled_from(TO_RUNNER), max_size=8), st.integers(1, 200))
def test_messages_arrive_as_they_were_however_the_bytes_are_cut(messages: list[Run], size: int) -> None:
    data = encode(messages) + encode(messages[:1])
    reader = runner_reader()
    received = [message for at in range(0, len(data), size) for message in reader.feed(data[at : at + size])]
    assert received == messages + messages[:1]


def test_each_message_to_the_worker_arrives_as_it_was() -> None:
    assert worker_reader().feed(encode(TO_WORKER)) == list(TO_WORKER)


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(msgspec.MsgspecError):
        worker_reader().feed(encode(TO_RUNNER))
