"""How often a busy program looks for garbage."""

import gc
from collections.abc import Iterator

import pytest

from core import garbage_collection


@pytest.fixture
def collector() -> Iterator[None]:
    """Have the collector as Python starts it, and then as the tests do."""
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    gc.enable()
    gc.unfreeze()
    yield
    gc.set_threshold(*before)
    gc.freeze()


@pytest.mark.usefixtures("collector")
def test_it_looks_more_rarely_and_leaves_out_what_is_there() -> None:
    before = gc.get_threshold()
    garbage_collection.collect_rarely()
    young, middle, old = gc.get_threshold()
    assert young == garbage_collection.YOUNG_THRESHOLD > before[0]
    assert (middle, old) == before[1:]
    assert gc.get_freeze_count() > 1000
    assert gc.isenabled()
