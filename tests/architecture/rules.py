"""Rules for source text: each takes the text of a module and returns the lines that break it."""

import ast
import functools
import io
import re
import tokenize
from collections.abc import Callable, Iterator, Sequence, Set
from typing import TypeAlias

Rule: TypeAlias = Callable[[str], list[int]]

_SILENCER = re.compile(r"#\s*(noqa|type:\s*ignore)\b")
_EXPLAINED = re.compile(r"#\s*(noqa:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*|type:\s*ignore\[[a-z-]+(,\s*[a-z-]+)*\])\W+\w+\s+\w+")
_LOG_METHODS = {"debug", "info", "warning", "error", "critical"}
_SYSTEM_ERRORS = {"OSError", "ConnectionError", "FileNotFoundError", "PermissionError", "Exception", "BaseException"}
_OWNED = {"Thread", "Timer", "Process"}
_CLOCKS = {"monotonic", "perf_counter", "time"}
_ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv"}


def _only_with(text: str) -> Callable[[Rule], Rule]:
    """Apply a rule only to a source that matches `text`, without which it can't be broken: parsing takes long."""
    pattern = re.compile(text)

    def decorate(rule: Rule) -> Rule:
        @functools.wraps(rule)
        def apply(source: str) -> list[int]:
            return rule(source) if pattern.search(source) else []

        return apply

    return decorate


def _word(words: Set[str]) -> str:
    return rf"\b({'|'.join(sorted(words))})\b"


@functools.cache
def _tree(source: str) -> ast.Module:
    return ast.parse(source)


@functools.cache
def _nodes(source: str) -> Sequence[ast.AST]:
    """Return the nodes of a module, for all rules: finding them takes longer than a rule."""
    return list(ast.walk(_tree(source)))


def imports(source: str) -> Iterator[tuple[int, str]]:
    """Yield each imported module with its line; `from a import b` gives `a` and `a.b`, because `b` may be a module."""
    for node in _nodes(source):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or "."
            yield from ((node.lineno, f"{node.module or '.'}.{alias.name}") for alias in node.names)


@_only_with("mock|unittest")
def mocks(source: str) -> list[int]:
    """Return the imports of what replaces parts of a program in its tests."""
    return sorted({line for line, module in imports(source) if module.startswith(("unittest", "mock", "pytest_mock"))})


@_only_with(_word(_OWNED))
def thread_subclasses(source: str) -> list[int]:
    """Return the classes that inherit from threads or processes, which must be owned instead."""
    return [
        node.lineno
        for node in _nodes(source)
        if isinstance(node, ast.ClassDef) and any(_last_name(base) in _OWNED for base in node.bases)
    ]


@_only_with(_word(_ENVIRONMENT))
def environment_readers(source: str) -> list[int]:
    """Return the uses of the environment, which is read only where a program begins."""
    return [
        node.lineno
        for node in _nodes(source)
        if (isinstance(node, ast.Attribute) and node.attr in _ENVIRONMENT and _last_name(node.value) == "os")
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and _ENVIRONMENT & {a.name for a in node.names})
    ]


@_only_with(_SILENCER.pattern)
def unexplained_silencers(source: str) -> list[int]:
    """Return the suppressions of a linter or type checker without a code and a reason."""
    return [
        token.start[0]
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT and _SILENCER.search(token.string) and not _EXPLAINED.search(token.string)
    ]


@_only_with(r"\bfrom\s+\.")
def relative_imports(source: str) -> list[int]:
    """Return the relative imports; modules are imported by their full names."""
    return [node.lineno for node in _nodes(source) if isinstance(node, ast.ImportFrom) and node.level]


def public_classes(source: str) -> list[str]:
    """Return the names of the public classes of a module."""
    return [
        node.name for node in _tree(source).body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]


@_only_with(_word(_CLOCKS) + r"\(")
def elapsed_time_assertions(source: str) -> list[int]:
    """A test asserts on no elapsed time: a busy machine is slow, and nothing is wrong with it."""
    return [
        node.lineno
        for node in _nodes(source)
        if isinstance(node, ast.Assert)
        and any(
            isinstance(compared, ast.Compare) and any(_is_elapsed_time(part) for part in ast.walk(compared))
            for compared in ast.walk(node.test)
        )
    ]


@_only_with(_word(_SYSTEM_ERRORS))
def numbered_errors(source: str) -> list[int]:
    """Return the texts with an error of the operating system as Python writes it: people need no `[Errno 111]`."""
    return [
        written.lineno
        for handler in _nodes(source)
        if isinstance(handler, ast.ExceptHandler) and handler.name and _catches_system_errors(handler)
        for node in ast.walk(handler)
        for written in _written(node)
        if isinstance(written, ast.Name) and written.id == handler.name
    ]


def _catches_system_errors(handler: ast.ExceptHandler) -> bool:
    caught = [] if handler.type is None else ast.walk(handler.type)
    return any(isinstance(node, ast.Name) and node.id in _SYSTEM_ERRORS for node in caught)


def _written(node: ast.AST) -> list[ast.expr]:
    """Return the expressions that a node makes a text of."""
    if isinstance(node, ast.FormattedValue):
        return [node.value]
    if not isinstance(node, ast.Call):
        return []
    is_text = isinstance(node.func, ast.Name) and node.func.id in {"str", "repr"}
    is_log = isinstance(node.func, ast.Attribute) and node.func.attr in _LOG_METHODS
    return node.args if is_text or is_log else []


def _is_elapsed_time(node: ast.AST) -> bool:
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Sub):
        return False
    return any(isinstance(side, ast.Call) and _last_name(side.func) in _CLOCKS for side in (node.left, node.right))


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
