"""The messages that a consumer of the embedded queue holds."""

from core.broker.base import Delivery
from core.broker.embedded.in_flight import InFlightMessages, LeaseReceipt
from core.broker.embedded.queue_file import ClaimedMessage


def messages_of(*ids: int, prefetch: int = 10, lease_number: int = 7) -> InFlightMessages:
    messages = InFlightMessages(prefetch)
    messages.reset(lease_number)
    messages.add([ClaimedMessage(each, 0, b"%d" % each) for each in ids])
    return messages


def test_claimed_messages_are_taken_in_order_and_occupy_room_until_acknowledged() -> None:
    messages = messages_of(1, 2, 3, prefetch=4)
    assert messages.room == 1
    first = messages.take(2)
    assert [delivery.body for delivery in first] == [b"1", b"2"]
    assert messages.room == 1
    assert messages.ack(first)
    assert messages.room == 3
    assert [delivery.body for delivery in messages.take(9)] == [b"3"]
    assert messages.take(9) == []


def test_a_settlement_stays_pending_until_it_is_written() -> None:
    messages = messages_of(1, 2, 3)
    one, two, three = messages.take(3)
    messages.ack([one])
    messages.reject(two)
    pending = messages.pending()
    assert (pending.acks, pending.rejects) == ([1], [2])
    messages.ack([three])
    messages.mark_written(pending)
    assert (messages.pending().acks, messages.pending().rejects) == ([3], [])
    assert messages.has_pending
    messages.mark_written(messages.pending())
    assert not messages.has_pending


def test_a_second_acknowledgement_is_ignored() -> None:
    messages = messages_of(1)
    taken = messages.take(1)
    assert messages.ack([*taken, *taken])
    assert not messages.ack(taken)
    assert not messages.reject(taken[0])
    assert messages.pending().acks == [1]
    assert messages.pending().rejects == []


def test_acknowledgements_of_another_lease_or_another_broker_are_ignored() -> None:
    messages = messages_of(1)
    assert not messages.ack(
        [Delivery(b"", 0, LeaseReceipt(8, 1)), Delivery(b"", 0, LeaseReceipt(7, 2)), Delivery(b"", 0, (7, 1))]
    )
    assert not messages.has_pending


def test_a_new_lease_forgets_everything() -> None:
    messages = messages_of(1, 2, 3)
    former = messages.take(2)
    messages.ack(former[:1])
    messages.reset(8)
    assert (messages.room, messages.waiting, messages.has_pending, messages.ids) == (10, 0, False, [])
    assert not messages.ack(former)


def test_a_message_counts_as_held_until_its_settlement_is_written() -> None:
    messages = messages_of(1, 2, 3)
    one, two, _ = messages.take(3)
    messages.ack([one])
    messages.reject(two)
    assert sorted(messages.ids) == [1, 2, 3]


def test_the_room_is_never_negative() -> None:
    messages = messages_of(1, 2, 3)
    messages.prefetch = 2
    assert messages.room == 0
