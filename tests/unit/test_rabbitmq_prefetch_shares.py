"""Changing how much several consumers may hold together."""

from hypothesis import given
from hypothesis import strategies as st

from core.broker.rabbitmq.prefetch_shares import PrefetchShares


def test_growing_adds_a_consumer_for_the_difference() -> None:
    shares = PrefetchShares(10)
    shares.add("a", 10)
    shares.wanted = 16
    assert shares.end() == []
    assert shares.room(older=0) == 6
    shares.add("b", 6)
    assert shares.room(older=0) == 0
    assert not shares.short


def test_shrinking_ends_all_and_waits_for_the_broker_before_it_begins_again() -> None:
    shares = PrefetchShares(10)
    shares.add("a", 6)
    shares.add("b", 4)
    shares.wanted = 3
    assert shares.end() == ["a", "b"]
    assert shares.end() == []
    shares.ended("a")
    assert (shares.leaving, shares.room(older=0)) == (True, 0)
    shares.ended("b")
    assert (shares.leaving, shares.short) == (False, True)
    assert shares.room(older=3) == 0
    assert shares.room(older=2) == 1


@given(st.integers(1, 2_000), st.integers(1, 2_000), st.data())
def test_while_older_deliveries_are_settled_it_never_holds_too_much_and_adds_few(
    wanted: int, held: int, data: st.DataObject
) -> None:
    shares = PrefetchShares(wanted)
    present: list[int] = []
    older = held
    while True:
        room = shares.room(older)
        if room:
            present.append(room)
            shares.add(f"consumer {len(present)}", room)
        assert sum(present) + (older if present else 0) <= max(wanted, older)
        if not older:
            break
        older -= data.draw(st.integers(1, older))
    assert sum(present) == wanted
    assert len(present) <= 13
