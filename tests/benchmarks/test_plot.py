"""Percentiles and plots of made-up values."""

from collections.abc import Sequence
from xml.etree import ElementTree

import pytest

from tests.benchmarks.plot import Curve, Panel, draw, scale_for, short
from tests.benchmarks.spread import Spread, milliseconds

SVG = "{http://www.w3.org/2000/svg}"


def panel(*curves: Sequence[float | None]) -> Panel:
    made = [Curve(series=f"series {number}", values=values) for number, values in enumerate(curves)]
    return Panel(title="a <title>", caption="b", axis="c", places=["1", "2", "3"], curves=made)


def drawn(*panels: Panel) -> ElementTree.Element:
    return ElementTree.fromstring(draw("everything & more", [panels]))  # noqa: S314 - the test wrote it


def heights(picture: ElementTree.Element) -> list[list[float]]:
    lines = [line.attrib["points"].split() for line in picture.iter(f"{SVG}polyline")]
    return [[float(point.split(",")[1]) for point in line] for line in lines]


def test_percentiles_are_values_that_were_measured() -> None:
    spread = Spread.of([float(number) for number in range(100, 0, -1)])
    assert (spread.count, spread.p50, spread.p95, spread.p99, spread.most) == (100, 50, 95, 99, 100)
    assert Spread.of([3.0]) == Spread(count=1, p50=3, p95=3, p99=3, most=3)
    with pytest.raises(ValueError, match="nothing"):
        Spread.of([])


def test_durations_have_about_three_digits() -> None:
    assert [milliseconds(value) for value in (0.0012345, 0.012345, 0.12345, 12.345)] == [
        "1.23",
        "12.3",
        "123",
        "12,345",
    ]


def test_larger_values_are_drawn_higher() -> None:
    ((first, second, third),) = heights(drawn(panel([10, 20, 15])))
    assert second < third < first


def test_a_place_without_a_value_is_skipped() -> None:
    first, second = heights(drawn(panel([1, None, 2], [1, 2, 3])))
    assert len(first) == 2
    assert len(second) == 3
    assert heights(drawn(panel([None, None, None]))) == [[]]


def test_every_series_has_its_name_and_all_text_is_escaped() -> None:
    texts = {text.text for text in drawn(panel([1, 2, 3], [3, 2, 1])).iter(f"{SVG}text")}
    assert {"series 0", "series 1", "a <title>", "everything & more"} <= texts


def test_a_scale_begins_at_zero_unless_values_differ_widely() -> None:
    linear = scale_for([40, 90])
    assert (linear.height(0), linear.ticks[0]) == (0, 0)
    assert linear.ticks[-1] >= 90
    steep = scale_for([9000, 30])
    assert list(steep.ticks) == [10, 100, 1000, 10000]
    assert steep.height(10) == 0
    assert steep.height(10000) == pytest.approx(1)


def test_a_scale_of_no_values_and_of_zeros() -> None:
    assert scale_for([]).height(0) == 0
    assert scale_for([0.0, 0.0]).height(0) == 0


def test_numbers_are_short() -> None:
    assert [short(value) for value in (0, 2.5, 100, 1000, 2500, 1_000_000)] == [
        "0",
        "2.5",
        "100",
        "1 k",
        "2.5 k",
        "1 M",
    ]
