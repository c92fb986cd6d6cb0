"""The window of unsettled deliveries, against a broker as strict as RabbitMQ."""

from hypothesis import given
from hypothesis import strategies as st

from core.broker.rabbitmq.acks import AckWindow


class StrictBroker:
    """Takes acknowledgements as RabbitMQ does: an unknown or settled tag is an error."""

    def __init__(self) -> None:
        self.unacked: list[int] = []

    def ack(self, tag: int, multiple: bool) -> set[int]:
        """Take one acknowledgement. Returns the tags that it covers."""
        assert tag in self.unacked, f"unknown delivery tag {tag}"
        covered = {each for each in self.unacked if each == tag or (multiple and each < tag)}
        self.unacked = [each for each in self.unacked if each not in covered]
        return covered


@given(st.data())
def test_no_delivery_is_covered_that_was_not_acknowledged_and_none_is_forgotten(data: st.DataObject) -> None:
    window, broker = AckWindow(), StrictBroker()
    delivered = 0
    expected: set[int] = set()
    acknowledged: set[int] = set()
    rejected: set[int] = set()
    for _ in range(data.draw(st.integers(1, 12))):
        for _ in range(data.draw(st.integers(0, 6))):
            delivered += 1
            window.add(delivered)
            broker.unacked.append(delivered)
        # Some were acknowledged before, or never delivered.
        tags = data.draw(st.lists(st.integers(1, delivered + 2), max_size=8))
        expected |= {tag for tag in tags if tag <= delivered} - rejected
        for tag, multiple in window.ack(tags):
            acknowledged |= broker.ack(tag, multiple)
        if data.draw(st.booleans()) and broker.unacked:
            tag = data.draw(st.sampled_from(broker.unacked))
            assert window.settle(tag)
            broker.unacked.remove(tag)
            rejected.add(tag)
        assert acknowledged == expected
        assert len(window) == len(broker.unacked)


def test_a_whole_prefix_is_one_acknowledgement() -> None:
    window = AckWindow()
    for tag in range(1, 101):
        window.add(tag)
    assert window.ack(range(1, 101)) == [(100, True)]


def test_tags_above_an_unsettled_delivery_are_acknowledged_one_by_one() -> None:
    window = AckWindow()
    for tag in range(1, 6):
        window.add(tag)
    assert window.ack([4, 5, 2]) == [(4, False), (5, False), (2, False)]
    assert window.ack([1, 3]) == [(3, True)]


def test_a_tag_is_acknowledged_once() -> None:
    window = AckWindow()
    window.add(1)
    assert window.ack([1, 1]) == [(1, False)]
    assert window.ack([1]) == []
    assert not window.settle(1)


def test_a_window_whose_first_delivery_stays_unsettled_does_not_grow() -> None:
    window = AckWindow()
    window.add(1)
    for tag in range(2, 10_000):
        window.add(tag)
        window.ack([tag])
    assert len(window) == 1
