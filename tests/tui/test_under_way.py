"""What is under way, and can be cancelled: one of a kind at a time, the one that was begun last first."""

from tui.under_way import UnderWay


def test_of_one_kind_there_is_one_at_a_time() -> None:
    under_way = UnderWay()
    assert under_way.begin("export") is not None
    assert under_way.begin("export") is None
    assert under_way.begin("load") is not None
    under_way.end("export")
    assert under_way.begin("export") is not None


def test_what_was_begun_last_is_cancelled_first() -> None:
    under_way = UnderWay()
    assert not under_way.cancel()
    load, export = under_way.begin("load"), under_way.begin("export")
    assert load is not None
    assert export is not None
    assert under_way.cancel()
    assert (load.is_set(), export.is_set()) == (False, True)
    # It takes a moment to end; the next command is for the other.
    assert under_way.cancel()
    assert load.is_set()
    assert not under_way.cancel()


def test_everything_can_be_cancelled_at_once() -> None:
    under_way = UnderWay()
    events = [under_way.begin(name) for name in ("load", "export")]
    under_way.cancel_everything()
    assert all(event is not None and event.is_set() for event in events)


def test_it_is_told_how_far_each_is_until_it_is_over() -> None:
    under_way = UnderWay()
    under_way.note("export", "it has not begun")
    assert under_way.told == ""
    under_way.begin("export")
    under_way.begin("load")
    under_way.note("export", "3 of 9")
    under_way.note("load", "5 of 6")
    under_way.note("export", "4 of 9")
    assert under_way.told == "4 of 9 · 5 of 6"
    under_way.end("export")
    assert under_way.told == "5 of 6"
