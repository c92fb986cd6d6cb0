"""Loading a user's module: what is found, and how errors in it are reported."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import TaskDefinitionError
from core.tasks import builtin_registry, load

GOOD = """
from core.tasks import task

@task("{kind}")
def function(payload):
    return payload
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current directory. What is imported from it is unloaded after the test."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(tmp_path) in str(getattr(sys.modules[name], "__spec__", "")):
            del sys.modules[name]


def write(path: str, text: str) -> Path:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file.resolve()


def test_a_file_is_loaded_under_a_unique_name() -> None:
    first = load(str(write("one/orders.py", GOOD.format(kind="one"))))
    second = load(str(write("two/orders.py", GOOD.format(kind="two"))))
    assert first.__name__ != second.__name__
    assert builtin_registry(modules=[first, second]).get("two").kind == "two"


def test_the_same_file_is_the_same_module_however_it_is_named() -> None:
    file = write("orders.py", GOOD.format(kind="one"))
    modules = [load("orders.py"), load("./orders.py"), load(str(file))]
    assert modules[0] is modules[1] is modules[2]
    assert builtin_registry(modules=modules).get("one").kind == "one"


def test_a_file_imports_modules_beside_it() -> None:
    write("shop/prices_beside.py", "PRICE = 7")
    write("shop/orders.py", "import prices_beside\n" + GOOD.format(kind="one"))
    assert vars(load("shop/orders.py"))["prices_beside"].PRICE == 7


def test_a_dotted_name_is_searched_in_the_current_directory() -> None:
    write("shop_package/__init__.py", "")
    write("shop_package/orders.py", GOOD.format(kind="one"))
    assert [d.kind for d in builtin_registry(modules=[load("shop_package.orders")]).definitions if d.kind == "one"]


def test_a_dotted_name_is_searched_in_the_directory_that_is_given_with_it(folder: Path) -> None:
    write("given_shop/orders_there.py", GOOD.format(kind="there"))
    module = load(f"{folder / 'given_shop'}:orders_there")
    assert builtin_registry(modules=[module]).get("there").kind == "there"
    with pytest.raises(TaskDefinitionError, match=r"missing_there: no such module, neither in .*given_shop nor"):
        load(f"{folder / 'given_shop'}:missing_there")


def test_a_module_has_the_task_functions_that_it_imports() -> None:
    write("first_shop.py", GOOD.format(kind="one"))
    write("second_shop.py", "from first_shop import function\n" + GOOD.format(kind="two").replace("def f", "def g"))
    modules = [load("first_shop"), load("second_shop")]
    assert {"one", "two"} < set(builtin_registry(modules=modules).kinds)


def test_a_dataclass_in_a_loaded_file_works() -> None:
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n    b: int\n"
    write("orders.py", text + GOOD.format(kind="one"))
    assert vars(load("orders.py"))["A"](3).b == 3


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("x = 1\ndef f(:\n", 2, "SyntaxError"),
        ("if True:\nx = 1\n", 2, "IndentationError"),
        ("import os\nimport not_to_be_found\n", 2, "ModuleNotFoundError: No module named 'not_to_be_found'"),
        ("\nfrom os import not_to_be_found\n", 2, "ImportError"),
        ("\n\n1 / 0\n", 3, "ZeroDivisionError: division by zero"),
        ("import json\njson.loads('x')\n", 2, "JSONDecodeError"),
        ("def f():\n    raise ValueError('no')\nf()\n", 2, "ValueError: no"),
        ("import sys\nsys.exit('bye')\n", 2, "SystemExit: bye"),
        ("raise BaseExceptionGroup('g', [SystemExit()])\n", 1, "BaseExceptionGroup"),
        ("from core.tasks import task\n@task('a b')\ndef f(p): ...\n", 2, "name of a kind"),
        ("from core.tasks import task\n\n@task\nasync def f(p): yield\n", 3, "yield"),
    ],
)
@pytest.mark.parametrize("how", ["broken_orders.py", "broken_orders"])
def test_an_error_has_its_file_and_line(text: str, line: int, words: str, how: str) -> None:
    file = write("broken_orders.py", text)
    with pytest.raises(TaskDefinitionError) as caught:
        load(how)
    assert f"{file}:{line}: " in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_error_in_an_imported_module_has_its_place() -> None:
    file = write("deeper_orders.py", "\n\nx = unknown\n")
    write("orders.py", "import deeper_orders\n")
    with pytest.raises(TaskDefinitionError) as caught:
        load("orders.py")
    assert f"{file}:3: NameError" in str(caught.value)


def test_an_error_in_the_package_of_a_module_has_its_place() -> None:
    file = write("faulty_package/__init__.py", "import not_to_be_found\n")
    write("faulty_package/orders.py", GOOD.format(kind="one"))
    with pytest.raises(TaskDefinitionError) as caught:
        load("faulty_package.orders")
    assert f"{file}:1: ModuleNotFoundError" in str(caught.value)


def test_a_module_that_failed_can_be_loaded_after_a_correction() -> None:
    write("orders.py", "1 / 0")
    with pytest.raises(TaskDefinitionError):
        load("orders.py")
    write("orders.py", GOOD.format(kind="mended"))
    assert builtin_registry(modules=[load("orders.py")]).get("mended").kind == "mended"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.py", "missing.py: no such file"),
        ("folder.py", "folder.py: not a file"),
        ("no/such/missing.py", "no such file"),
        ("missing_module", "missing_module: no such module, neither in "),
        ("whole_package.missing", "whole_package.missing: no such module"),
        ("missing_package.orders", "missing_package.orders: no such module"),
        ("json.decoder.deeper", "no such module"),
        ("notes.txt", "no such module"),
        ("./folder.py/../inner-folder", "is a directory"),
        ("some notes.md", "neither a Python file"),
        ("", "directory"),
        ("..", "directory"),
        ("a..b", "neither a Python file"),
        ("a-b", "neither a Python file"),
    ],
)
def test_a_name_of_no_module_is_refused(name: str, words: str) -> None:
    Path("folder.py").mkdir()
    Path("inner-folder").mkdir()
    write("notes.txt", "")
    write("whole_package/__init__.py", "")
    with pytest.raises(TaskDefinitionError) as caught:
        load(name)
    assert words in str(caught.value)


@pytest.mark.parametrize("raw", [b"x = '\xff'\n", b"x = 1\0\n", b"# coding: nonsense\n"])
def test_a_file_that_is_no_text_is_refused(raw: bytes, folder: Path) -> None:
    (folder / "orders.py").write_bytes(raw)
    with pytest.raises(TaskDefinitionError, match=r"orders\.py"):
        load("orders.py")


def test_the_error_for_two_files_with_the_same_kind_has_both_places() -> None:
    first, second = write("a.py", GOOD.format(kind="one")), write("b.py", GOOD.format(kind="one"))
    with pytest.raises(TaskDefinitionError) as caught:
        builtin_registry(modules=[load("a.py"), load("b.py")])
    assert f"{first}:4" in str(caught.value)
    assert f"{second}:4" in str(caught.value)


def test_a_file_without_tasks_is_refused() -> None:
    file = write("orders.py", "from core.tasks import task\ndef function(payload): ...\n")
    with pytest.raises(TaskDefinitionError, match="no task is defined here") as caught:
        builtin_registry(modules=[load("orders.py")])
    assert str(file) in str(caught.value)


def test_an_interrupt_is_passed_on() -> None:
    write("orders.py", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load("orders.py")
