"""What a consumer of the embedded queue holds."""

from core.broker.base import Delivery
from core.broker.embedded.in_flight import InFlightMessages, LeaseReceipt
from core.broker.embedded.queue_file import ClaimedMessage


def hold_of(*ids: int, prefetch: int = 10, holder: int = 7) -> InFlightMessages:
    hold = InFlightMessages(prefetch)
    hold.begin(holder)
    hold.add([ClaimedMessage(each, 0, b"%d" % each) for each in ids])
    return hold


def test_what_was_claimed_is_taken_in_order_and_takes_room_until_it_is_acknowledged() -> None:
    hold = hold_of(1, 2, 3, prefetch=4)
    assert hold.room == 1
    first = hold.take(2)
    assert [delivery.body for delivery in first] == [b"1", b"2"]
    assert hold.room == 1
    assert hold.ack(first)
    assert hold.room == 3
    assert [delivery.body for delivery in hold.take(9)] == [b"3"]
    assert hold.take(9) == []


def test_an_acknowledgement_stays_noted_until_it_is_written() -> None:
    hold = hold_of(1, 2, 3)
    one, two, three = hold.take(3)
    hold.ack([one])
    hold.reject(two)
    settling = hold.settling()
    assert (settling.acks, settling.rejects) == ([1], [2])
    hold.ack([three])
    hold.written(settling)
    assert (hold.settling().acks, hold.settling().rejects) == ([3], [])
    assert hold.unwritten
    hold.written(hold.settling())
    assert not hold.unwritten


def test_a_second_acknowledgement_is_nothing_new() -> None:
    hold = hold_of(1)
    taken = hold.take(1)
    assert hold.ack([*taken, *taken])
    assert not hold.ack(taken)
    assert not hold.reject(taken[0])
    assert hold.settling().acks == [1]
    assert hold.settling().rejects == []


def test_acknowledgements_of_another_lease_or_another_broker_are_ignored() -> None:
    hold = hold_of(1)
    assert not hold.ack(
        [Delivery(b"", 0, LeaseReceipt(8, 1)), Delivery(b"", 0, LeaseReceipt(7, 2)), Delivery(b"", 0, (7, 1))]
    )
    assert not hold.unwritten


def test_a_new_lease_forgets_everything() -> None:
    hold = hold_of(1, 2, 3)
    former = hold.take(2)
    hold.ack(former[:1])
    hold.begin(8)
    assert (hold.room, hold.waiting, hold.unwritten, hold.ids) == (10, 0, False, [])
    assert not hold.ack(former)


def test_everything_that_is_not_written_yet_counts_as_held() -> None:
    hold = hold_of(1, 2, 3)
    one, two, _ = hold.take(3)
    hold.ack([one])
    hold.reject(two)
    assert sorted(hold.ids) == [1, 2, 3]


def test_a_smaller_prefetch_leaves_no_room_rather_than_less_than_none() -> None:
    hold = hold_of(1, 2, 3)
    hold.prefetch = 2
    assert hold.room == 0
