"""Publisher confirms are matched with messages."""

from hypothesis import given
from hypothesis import strategies as st

from core.broker.base import PublishResult
from core.broker.rabbitmq.confirms import UnconfirmedMessages


def test_a_multiple_confirm_settles_all_up_to_its_number_and_none_twice() -> None:
    unconfirmed = UnconfirmedMessages()
    assert [unconfirmed.add(tag) for tag in (10, 20, 30, 40)] == [1, 2, 3, 4]
    assert unconfirmed.confirm(2, multiple=False) == [PublishResult(20, confirmed=True)]
    assert unconfirmed.confirm(3, multiple=True) == [
        PublishResult(10, confirmed=True),
        PublishResult(30, confirmed=True),
    ]
    assert unconfirmed.confirm(3, multiple=True) == []
    assert unconfirmed.refuse_all("lost") == [PublishResult(40, confirmed=False, reason="lost")]
    assert not len(unconfirmed)


def test_a_returned_message_is_not_confirmed_though_the_broker_confirms_it() -> None:
    unconfirmed = UnconfirmedMessages()
    for tag in (10, 20, 30):
        unconfirmed.add(tag)
    unconfirmed.mark_returned(2, "no queue")
    assert unconfirmed.confirm(3, multiple=True) == [
        PublishResult(10, confirmed=True),
        PublishResult(20, confirmed=False, reason="no queue"),
        PublishResult(30, confirmed=True),
    ]


def test_unknown_numbers_settle_nothing() -> None:
    unconfirmed = UnconfirmedMessages()
    unconfirmed.add(10)
    unconfirmed.mark_returned(7, "no queue")
    assert unconfirmed.confirm(7, multiple=False) == []
    assert unconfirmed.confirm(7, multiple=True) == [PublishResult(10, confirmed=True)]
    assert unconfirmed.add(11) == 2
    assert unconfirmed.confirm(2, multiple=True) == [PublishResult(11, confirmed=True)]


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 60), st.booleans(), st.booleans()), max_size=30))
def test_every_message_is_settled_exactly_once(steps: list[tuple[int, int, bool, bool]]) -> None:
    unconfirmed = UnconfirmedMessages()
    added = 0
    settled: list[PublishResult] = []
    for count, number, multiple, confirmed in steps:
        for _ in range(count):
            unconfirmed.add(1000 + added)
            added += 1
        if confirmed:
            settled += unconfirmed.confirm(number, multiple)
        else:
            settled += unconfirmed.refuse(number, multiple, "nack")
    settled += unconfirmed.refuse_all("lost")
    assert sorted(each.tag for each in settled) == list(range(1000, 1000 + added))
    assert all(each.confirmed or each.reason for each in settled)
