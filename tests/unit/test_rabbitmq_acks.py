"""The window of unacknowledged deliveries, against a broker that is as strict as RabbitMQ."""

from hypothesis import given
from hypothesis import strategies as st

from core.broker.rabbitmq.acks import AckWindow


class StrictBroker:
    """Takes acknowledgements as RabbitMQ does: a tag that it does not know, or knows no more, is an error."""

    def __init__(self) -> None:
        self.unacked: list[int] = []

    def ack(self, tag: int, multiple: bool) -> set[int]:
        """Take one acknowledgement; the tags that it covers."""
        assert tag in self.unacked, f"unknown delivery tag {tag}"
        covered = {each for each in self.unacked if each == tag or (multiple and each < tag)}
        self.unacked = [each for each in self.unacked if each not in covered]
        return covered


@given(st.data())
def test_no_delivery_is_covered_that_was_not_acknowledged_and_none_is_forgotten(data: st.DataObject) -> None:
    window, broker = AckWindow(), StrictBroker()
    delivered = 0
    wanted: set[int] = set()
    told: set[int] = set()
    rejected: set[int] = set()
    for _ in range(data.draw(st.integers(1, 12))):
        for _ in range(data.draw(st.integers(0, 6))):
            delivered += 1
            window.add(delivered)
            broker.unacked.append(delivered)
        # Tags that were acknowledged before, or never delivered, are among them.
        tags = data.draw(st.lists(st.integers(1, delivered + 2), max_size=8))
        wanted |= {tag for tag in tags if tag <= delivered} - rejected
        for tag, multiple in window.ack(tags):
            told |= broker.ack(tag, multiple)
        if data.draw(st.booleans()) and broker.unacked:
            tag = data.draw(st.sampled_from(broker.unacked))
            assert window.settle(tag)
            broker.unacked.remove(tag)
            rejected.add(tag)
        assert told == wanted
        assert len(window) == len(broker.unacked)


def test_a_whole_prefix_is_one_word() -> None:
    window = AckWindow()
    for tag in range(1, 101):
        window.add(tag)
    assert window.ack(range(1, 101)) == [(100, True)]


def test_what_lies_behind_an_open_delivery_is_told_one_by_one() -> None:
    window = AckWindow()
    for tag in range(1, 6):
        window.add(tag)
    assert window.ack([4, 5, 2]) == [(4, False), (5, False), (2, False)]
    assert window.ack([1, 3]) == [(3, True)]


def test_a_tag_is_told_once() -> None:
    window = AckWindow()
    window.add(1)
    assert window.ack([1, 1]) == [(1, False)]
    assert window.ack([1]) == []
    assert not window.settle(1)


def test_a_window_whose_first_delivery_stays_open_does_not_grow() -> None:
    window = AckWindow()
    window.add(1)
    for tag in range(2, 10_000):
        window.add(tag)
        window.ack([tag])
    assert len(window) == 1
