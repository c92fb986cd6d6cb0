"""Payloads that a function's annotation describes."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import ModuleType
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar

import msgspec
import pydantic
import pydantic.dataclasses
import pytest

from core.errors import ResultNotStorable, TaskDefinitionError
from core.jsontext import Json
from core.runner.interruption import RunInterruption
from core.tasks import InvalidPayload, Registry, TaskContext, TaskDefinition, run, task
from core.tasks.definition import definition_of
from core.tasks.registry import collect
from core.tasks.typed_payloads import MAX_SCHEMA, decoder_of, schema_of

CONTEXT = TaskContext(id="t", kind="k", attempt=1, interruption=RunInterruption())


class Page(msgspec.Struct):
    """A page."""

    width: int
    color: Literal["red", "blue"] = "red"


@dataclass
class Order:
    """An order, by an ordinary dataclass."""

    id: str
    pages: list[Page]


class Point(TypedDict):
    """A point."""

    x: float


class Pair(NamedTuple):
    """A pair."""

    left: int
    right: int


class Model(pydantic.BaseModel):
    """A model."""

    name: str
    sizes: list[int] = []


@task
def of_struct(page: Page) -> int:
    """Take a struct."""
    return page.width


@task
def of_dataclass(order: Order, context: TaskContext) -> list[object]:
    """Take a dataclass."""
    return [order.id, *(page.width for page in order.pages), context.id]


@task
def of_dict(point: Point) -> float:
    """Take a dictionary."""
    return point["x"]


@task
def of_tuple(pair: Pair) -> int:
    """Take a pair."""
    return pair.left - pair.right


@task
def of_union(pages: "dict[str, Page] | None") -> int:
    """Take pages by name, or nothing."""
    return sum(page.width for page in (pages or {}).values())


@task
def of_annotated(page: Annotated[Page, msgspec.Meta(description="the first page")]) -> int:
    """Take a struct with a description."""
    return page.width


@task
def of_model(model: Model) -> list[object]:
    """Take a model."""
    return [model.name, *model.sizes]


@task
def of_models(models: list[Model]) -> list[str]:
    """Take models."""
    return [model.name for model in models]


@task
def of_text(payload: str) -> Json:
    """Take anything: the annotation is for readers."""
    return payload


def registry(*functions: object) -> Registry:
    """Return a registry of some functions."""
    module = ModuleType("typed")
    vars(module).update({f"f{number}": function for number, function in enumerate(functions)})
    return Registry(collect(module))


KINDS = registry(of_struct, of_dataclass, of_dict, of_tuple, of_union, of_annotated, of_model, of_models, of_text)


@pytest.mark.parametrize(
    ("kind", "payload", "result"),
    [
        ("of_struct", '{"width": 3}', "3"),
        ("of_dataclass", '{"id": "a", "pages": [{"width": 1}, {"width": 2, "color": "blue"}]}', '["a",1,2,"t"]'),
        ("of_dict", '{"x": 1.5}', "1.5"),
        ("of_tuple", "[5, 3]", "2"),
        ("of_union", '{"a": {"width": 3}}', "3"),
        ("of_union", "null", "0"),
        ("of_annotated", '{"width": 3}', "3"),
        ("of_model", '{"name": "n", "sizes": [1]}', '["n",1]'),
        ("of_models", '[{"name": "n"}]', '["n"]'),
        ("of_text", "5", "5"),
    ],
)
def test_a_payload_is_converted(kind: str, payload: str, result: str) -> None:
    assert run(KINDS.get(kind), payload, CONTEXT) == result


@pytest.mark.parametrize(
    ("kind", "payload", "words"),
    [
        ("of_struct", '{"width": "3"}', "the kind of_struct takes: Expected `int`, got `str` - at `$.width`"),
        ("of_struct", "{}", "missing required field `width`"),
        ("of_struct", '{"width": 3, "color": "pink"}', "Invalid enum value 'pink' - at `$.color`"),
        ("of_struct", "not JSON", "the kind of_struct takes: JSON is malformed"),
        ("of_dataclass", '{"id": "a", "pages": [{"width": 1}, {}]}', "`width` - at `$.pages[1]`"),
        ("of_tuple", "[5]", "Expected `array` of length 2"),
        ("of_model", '{"name": 5, "sizes": ["x"]}', "valid string - at `$.name`; Input should be a valid integer"),
        ("of_models", '[{"name": "n"}, {"name": null}]', "at `$[1].name`"),
        ("of_models", "{", "Invalid JSON"),
    ],
)
def test_a_payload_that_does_not_fit_is_refused_with_its_place(kind: str, payload: str, words: str) -> None:
    with pytest.raises(InvalidPayload) as caught:
        run(KINDS.get(kind), payload, CONTEXT)
    assert words in str(caught.value)


class When(msgspec.Struct):
    """Has a time, and a page."""

    at: datetime
    page: Page


NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (Page(3), '{"width":3,"color":"red"}'),
        (When(NEW_YEAR, Page(1)), '{"at":"2027-01-01T00:00:00Z","page":{"width":1,"color":"red"}}'),
        (Order("a", [Page(1)]), '{"id":"a","pages":[{"width":1,"color":"red"}]}'),
        (Model(name="m"), '{"name":"m","sizes":[]}'),
        (Pair(1, 2), "[1,2]"),
    ],
)
def test_a_typed_result_is_stored_as_its_fields(result: object, text: str) -> None:
    assert run(definition_of_result(result), "null", CONTEXT) == text


def test_a_typed_result_that_json_can_not_hold_is_refused() -> None:
    class Odd(msgspec.Struct):
        """Has anything."""

        what: object

    for what in (object(), math.nan, 2**70, [Page]):
        with pytest.raises(ResultNotStorable):
            run(definition_of_result(Odd(what)), "null", CONTEXT)
    with pytest.raises(ResultNotStorable, match="type StructMeta"):
        run(definition_of_result(Page), "null", CONTEXT)


def definition_of_result(result: object) -> TaskDefinition:
    """Return a kind whose function returns this."""

    def function() -> object:
        return result

    definition = definition_of(task(function))
    assert definition is not None
    return definition


T = TypeVar("T")


class Box(msgspec.Struct, Generic[T]):
    """Holds anything."""

    content: T


class Aliased(pydantic.BaseModel):
    """Has another name on the wire."""

    size: int = pydantic.Field(alias="theSize")


@pydantic.dataclasses.dataclass
class Checked:
    """Has a bound that pydantic checks."""

    size: Annotated[int, pydantic.Field(gt=5)]


@dataclass
class Around:
    """Has a model as a field."""

    model: Model


class Mixed(msgspec.Struct):
    """Has a field that msgspec does not know."""

    model: Model


def taking(annotation: object) -> Callable[..., object]:
    """Return a function that takes this."""

    def function(_: object) -> None:
        """Take one."""

    function.__annotations__["_"] = annotation
    return function


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (Box[int], '{"content":1}', '{"content":"a"}'),
        (list[Box[Page]], '[{"content":{"width":1}}]', '[{"content":{"width":"a"}}]'),
        (Aliased, '{"theSize":1}', '{"size":1}'),
        (Checked, '{"size":6}', '{"size":5}'),
        (Around, '{"model":{"name":"a"}}', '{"model":{"name":1}}'),
        (Annotated[Checked, "text"], '{"size":6}', '{"size":5}'),
    ],
)
def test_each_kind_of_class_is_checked_by_its_library(annotation: object, good: str, bad: str) -> None:
    decode = decoder_of(taking(annotation))
    assert decode is not None
    decode(good)
    with pytest.raises(ValueError, match=r"\$"):
        decode(bad)


@pytest.mark.parametrize("annotation", [Mixed, Model | Page, list[Mixed]])
def test_classes_that_no_library_knows_together_are_refused(annotation: object) -> None:
    with pytest.raises(TaskDefinitionError, match="the annotation of the payload can't be used: "):
        decoder_of(taking(annotation))


def test_a_result_has_the_names_by_which_it_is_a_payload() -> None:
    assert run(definition_of_result(Aliased(theSize=1)), "null", CONTEXT) == '{"theSize":1}'
    assert run(definition_of_result(Around(Model(name="m"))), "null", CONTEXT) == '{"model":{"name":"m","sizes":[]}}'


def test_a_schema_that_can_not_be_told_is_empty() -> None:
    class Large(msgspec.Struct):
        """Has a bound that JSON numbers can't hold."""

        size: Annotated[int, msgspec.Meta(le=2**62)]

    class Endless(msgspec.Struct):
        """Has a description that is too long."""

        size: Annotated[int, msgspec.Meta(description="x" * MAX_SCHEMA)]

    assert schema_of(taking(Page))
    assert schema_of(taking(Large)) == ""
    assert schema_of(taking(Endless)) == ""


def test_a_function_is_called_as_it_is() -> None:
    assert of_struct(Page(4)) == 4
    assert of_model(Model(name="n")) == ["n"]


def test_an_annotation_that_can_not_be_used_is_refused_with_its_place() -> None:
    @task
    def unknown(payload: "Missing") -> None:  # type: ignore[name-defined]  # noqa: F821 - which the test tries
        """Take what there is not."""

    class Odd(msgspec.Struct):
        """A struct that JSON can't hold."""

        value: complex | type[int]

    @task
    def odd(payload: Odd) -> None:
        """Take what JSON can't hold."""

    for function, words in ((unknown, "can't be resolved: name 'Missing'"), (odd, "can't be used")):
        with pytest.raises(TaskDefinitionError, match=rf"test_typed_payloads.py:\d+: task '.*': .*{words}"):
            registry(function)


@pytest.mark.parametrize("annotation", [Json, Any, object, str, dict, "list[int]", None])
def test_other_annotations_are_for_readers(annotation: object) -> None:
    def takes(payload: object) -> object:
        """Return the payload."""
        return payload

    takes.__annotations__["payload"] = annotation
    assert run(registry(task(takes)).get("takes"), '"text"', CONTEXT) == '"text"'
