"""The private attributes of pika that the broker relies on, each of which the installed pika must have.

pika is pinned to one minor version because of them. Whoever raises the pin reads this list first.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from pika import SelectConnection
from pika.adapters.utils.io_services_utils import _AsyncTransportBase
from pika.channel import Channel

TOP = Path(__file__).parents[2]
RABBITMQ = sorted((TOP / "core" / "broker" / "rabbitmq").rglob("*.py"))

RELIED_ON: dict[type, set[str]] = {
    SelectConnection: {
        "_adapter_emit_data",
        "_frame_buffer",
        "_on_data_available",
        "_output_marshaled_frames",
        "_process_frame",
        "_proto_connection_made",
        "_read_frame",
        "_terminate_stream",
        "_trim_frame_buffer",
    },
    _AsyncTransportBase: {"_MAX_RECV_BYTES"},
    Channel: {"_rpc"},
}
"""By the class of pika that defines, or inherits, them."""


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def defined_by(source: str) -> set[str]:
    """The private names that classes define: methods, class attributes, and what they assign on `self`."""
    tree = ast.parse(source)
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    stored = {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Store)
    }
    return {name for name in functions | stored if is_private(name)}


def privates_of(kind: type) -> set[str]:
    """The private names that a class of pika has, its own and those it inherits."""
    sources = [textwrap.dedent(inspect.getsource(base)) for base in kind.__mro__ if base.__module__.startswith("pika")]
    return {name for source in sources for name in defined_by(source)}


def private_uses(source: str, inherited: set[str]) -> set[str]:
    """The private names of pika that a module uses.

    Args:
        source: the module.
        inherited: the private names of pika's connection, which count wherever a subclass of it uses or redefines them.
    """
    tree = ast.parse(source)
    subclasses = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).endswith("SelectConnection") for base in node.bases)
    ]
    redefined = {name for node in subclasses for name in defined_by(ast.unparse(node))}
    own = {attribute for node in subclasses for attribute in attributes(node, of_self=True)}
    return (redefined | own) & inherited | set(attributes(tree, of_self=False))


def attributes(tree: ast.AST, *, of_self: bool) -> Iterator[str]:
    """The private attributes that are read or written on `self` and `super()`, or on anything else."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            owner = ast.unparse(node.value)
            if (owner in {"self", "super()"}) is of_self:
                yield node.attr


def test_the_broker_uses_exactly_the_privates_that_are_listed() -> None:
    inherited = privates_of(SelectConnection)
    used = {name for path in RABBITMQ for name in private_uses(path.read_text(encoding="utf-8"), inherited)}
    assert used == set().union(*RELIED_ON.values())


@pytest.mark.parametrize("kind", RELIED_ON, ids=lambda kind: kind.__name__)
def test_the_installed_pika_still_has_each_of_them(kind: type) -> None:
    assert RELIED_ON[kind] - privates_of(kind) == set()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("class Ours(SelectConnection):\n    def _send(self): ...", {"_send"}),
        ("class Ours(pika.SelectConnection):\n    _send = None", {"_send"}),
        ("class Ours(SelectConnection):\n    def send(self): return self._send()", {"_send"}),
        ("class Ours(SelectConnection):\n    def send(self): return super()._send()", {"_send"}),
        ("class Ours(SelectConnection):\n    def send(self): return self._ours()", set()),
        ("class Ours:\n    def send(self): return self._send()", set()),
        ("def send(channel): channel._rpc()", {"_rpc"}),
        ("def send(channel): channel.basic_publish()", set()),
    ],
)
def test_a_use_of_a_private_is_found(source: str, found: set[str]) -> None:
    assert private_uses(source, {"_send"}) == found
