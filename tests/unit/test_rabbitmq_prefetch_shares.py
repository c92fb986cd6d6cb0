"""Changing the total prefetch of several consumers."""

from hypothesis import given
from hypothesis import strategies as st

from core.broker.rabbitmq.prefetch_shares import PrefetchShares


def test_growing_adds_a_consumer_for_the_difference() -> None:
    shares = PrefetchShares(10)
    shares.add("a", 10)
    shares.prefetch = 16
    assert shares.cancel_excess() == []
    assert shares.next_share(older=0) == 6
    shares.add("b", 6)
    assert shares.next_share(older=0) == 0
    assert not shares.is_below_prefetch


def test_shrinking_cancels_all_and_waits_for_the_broker_before_it_begins_again() -> None:
    shares = PrefetchShares(10)
    shares.add("a", 6)
    shares.add("b", 4)
    shares.prefetch = 3
    assert shares.cancel_excess() == ["a", "b"]
    assert shares.cancel_excess() == []
    shares.mark_cancelled("a")
    assert (shares.is_cancelling, shares.next_share(older=0)) == (True, 0)
    shares.mark_cancelled("b")
    assert (shares.is_cancelling, shares.is_below_prefetch) == (False, True)
    assert shares.next_share(older=3) == 0
    assert shares.next_share(older=2) == 1


@given(st.integers(1, 2_000), st.integers(1, 2_000), st.data())
def test_while_older_deliveries_are_settled_the_prefetch_is_kept_and_few_consumers_are_added(
    prefetch: int, held: int, data: st.DataObject
) -> None:
    shares = PrefetchShares(prefetch)
    present: list[int] = []
    older = held
    while True:
        share = shares.next_share(older)
        if share:
            present.append(share)
            shares.add(f"consumer {len(present)}", share)
        assert sum(present) + (older if present else 0) <= max(prefetch, older)
        if not older:
            break
        older -= data.draw(st.integers(1, older))
    assert sum(present) == prefetch
    assert len(present) <= 13
