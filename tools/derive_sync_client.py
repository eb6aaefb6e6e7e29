"""Write ``tenuto.client.sync_client`` from ``tenuto.client.client``.

Every public coroutine method becomes one that blocks, async iterators become iterators, handles
are wrapped. Signatures, overloads and docstrings are those of the source. ``--check`` only says
whether the module is up to date; the layout, which the formatter owns, does not count.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src/tenuto/client/client.py"
TARGET = ROOT / "src/tenuto/client/sync_client.py"

RENAMED = {
    "OrchestrationHandle": "SyncOrchestrationHandle",
    "AsyncIterator": "Iterator",
}
WAITING = frozenset({"result", "started", "wait"})
"""Methods that wait for an instance's beginning or end, and so take a timeout."""
NOT_DERIVED = frozenset({"open", "close"})
"""The constructor opens; BlockingClient closes."""

MODULE = '''\
"""The synchronous client, derived from ``client.py`` by ``tools/derive_sync_client.py``.

Do not edit: change ``client.py`` and run the tool.
"""

from __future__ import annotations

IMPORTS

from tenuto.client.blocking import BlockingClient, Bridge

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Ts = TypeVarTuple("Ts")


class SyncOrchestrationHandle(Generic[T_co]):
    """One instance, as the program that started or looked it up holds it; its methods block."""

    def __init__(self, bridge: Bridge, handle: OrchestrationHandle[T_co]) -> None:
        self._bridge = bridge
        self._handle = handle
        self.instance_id: str = handle.instance_id

    def __repr__(self) -> str:
        return repr(self._handle)

HANDLE

class SyncClient(BlockingClient):
    """Starts, asks and steers instances from programs without an event loop; its methods block.

    May be used from many threads. It has a thread of its own, in which an event loop does what is
    asked for; ``close`` it, or use it in a ``with`` block.

    Args:
        client: The URL of a server, a storage URL, or a ``Client``, which stays open when this one
            is closed.
        directory: As for ``Client``.
        limits: As for ``Client``.
        key: One of the server's keys, when it has keys.
        connection: How patient the client is with a server.

    Raises:
        SettingsError: the URL cannot be one, or there is no such store.
        StorageError: the store cannot be used.
        BlockingCallError: by each method, in a thread that runs an event loop, after ``close``,
            and in a forked process.

    Example:
        ::

            with SyncClient("http://127.0.0.1:7071", key=key) as client:
                handle = client.start(book_trip, trip)
                print(handle.result(timeout=timedelta(minutes=5)))
    """

CLIENT
'''
TIMEOUT = "Waits for ``timeout`` at most; None is for as long as it takes."
TIMEOUT_ERROR = "    TimeoutError: that has not come in this time; it goes on."


def derived(source: str) -> str:
    """The text of the module, not yet laid out."""
    tree = ast.parse(source)
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    handle = "\n\n".join(methods(classes["OrchestrationHandle"], "_handle"))
    client = "\n\n".join(methods(classes["Client"], "_client"))
    text = MODULE.replace("HANDLE\n", f"{handle}\n").replace("CLIENT\n", f"{client}\n")
    return text.replace("IMPORTS", imports(tree, text))


def imports(tree: ast.Module, text: str) -> str:
    """What the module needs of what the source imports or defines."""
    body = ast.parse(text.replace("IMPORTS", ""))
    used = {node.id for node in ast.walk(body) if isinstance(node, ast.Name)}
    used -= {node.arg for node in ast.walk(body) if isinstance(node, ast.arg)}
    lines = ["from collections.abc import Iterator", "from datetime import timedelta"]
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            lines += [
                f"from {node.module} import {alias.name}"
                for alias in node.names
                if alias.name in used | {"TypeVar", "TypeVarTuple"}
            ]
        elif isinstance(node, ast.ClassDef) and node.name in used:
            lines.append(f"from tenuto.client.client import {node.name}")
    return "\n".join(sorted(set(lines)))


def methods(owner: ast.ClassDef, inner: str) -> Iterator[str]:
    """The blocking form of each public method of a class."""
    overloaded: set[str] = set()
    for node in owner.body:
        if not isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
            continue
        if node.name.startswith("_") or node.name in NOT_DERIVED:
            continue
        decorators = {ast.unparse(one) for one in node.decorator_list}
        if "overload" in decorators:
            overloaded.add(node.name)
            yield overload(node)
        elif not decorators:
            yield method(node, inner, is_overloaded=node.name in overloaded)


def overload(node: ast.AsyncFunctionDef | ast.FunctionDef) -> str:
    """A typed form of a method that has several."""
    return f"    @overload\n    def {node.name}({arguments(node)}) -> {result(node)}: ..."


def method(node: ast.AsyncFunctionDef | ast.FunctionDef, inner: str, *, is_overloaded: bool) -> str:
    """One method with its docstring, handing everything on."""
    comment = "  # type: ignore[misc]  # mypy wants *Ts here too" if is_overloaded else ""
    doc = docstring(node)
    return (
        f"    def {node.name}({comment}\n        {arguments(node)}\n    ) -> {result(node)}:\n"
        f'        """{doc}"""\n'
        f"        return {call(node, inner)}"
    )


def arguments(node: ast.AsyncFunctionDef | ast.FunctionDef) -> str:
    """The parameters, with a timeout where one waits."""
    text = renamed(ast.unparse(node.args))
    if node.name in WAITING:
        text += f"{'' if node.args.kwonlyargs else ', *'}, timeout: timedelta | None = None"
    return text


def result(node: ast.AsyncFunctionDef | ast.FunctionDef) -> str:
    """The annotation of what comes back."""
    assert node.returns is not None, node.name
    return renamed(ast.unparse(node.returns))


def call(node: ast.AsyncFunctionDef | ast.FunctionDef, inner: str) -> str:
    """The expression that does the work on the client's own loop."""
    given = [one.arg for one in node.args.args[1:]]
    given += [f"*{node.args.vararg.arg}"] if node.args.vararg else []
    given += [f"{one.arg}={one.arg}" for one in node.args.kwonlyargs]
    text = f"self.{inner}.{node.name}({', '.join(given)})"
    assert node.returns is not None, node.name
    kind = ast.unparse(node.returns)
    if kind.startswith("AsyncIterator["):
        return f"self._bridge.iterate({text})"
    if isinstance(node, ast.AsyncFunctionDef):
        text = f"self._bridge.run({text}{', timeout' if node.name in WAITING else ''})"
    if kind.startswith("OrchestrationHandle["):
        text = f"SyncOrchestrationHandle(self._bridge, {text})"
    return text


def docstring(node: ast.AsyncFunctionDef | ast.FunctionDef) -> str:
    """The docstring in words that fit a method that blocks."""
    text = node.body[0]
    assert isinstance(text, ast.Expr), node.name
    assert isinstance(text.value, ast.Constant), node.name
    words = str(text.value.value)
    for given, wanted in (
        ("``Client.", "``SyncClient."),
        ("async for ", "for "),
        ("async with ", "with "),
        ("await ", ""),
    ):
        words = words.replace(given, wanted)
    if node.name in WAITING:
        indent = " " * 8
        told = f"Raises:\n{indent}{TIMEOUT_ERROR}\n"
        if "Args:\n" in words:
            given = f"\n{indent}    timeout: {TIMEOUT}\n\n{indent}"
            words = words.replace(f"\n\n{indent}Raises:\n", f"{given}{told}")
        else:
            words = words.replace("Raises:\n", f"{TIMEOUT}\n\n{indent}{told}")
    return words


def renamed(text: str) -> str:
    """Types of the source as those of the module."""
    for given, wanted in RENAMED.items():
        text = text.replace(given, wanted)
    return text


def is_up_to_date() -> bool:
    """Whether the module says what would be written now, however it is laid out."""
    if not TARGET.is_file():
        return False
    wanted = ast.parse(derived(SOURCE.read_text(encoding="utf-8")))
    return _without_imports(wanted) == _without_imports(
        ast.parse(TARGET.read_text(encoding="utf-8"))
    )


def _without_imports(tree: ast.Module) -> str:
    """Everything but imports, which the formatter sorts and joins."""
    tree.body = [node for node in tree.body if not isinstance(node, ast.ImportFrom)]
    return ast.dump(tree)


def main() -> int:
    """Write the module, or with ``--check`` say whether that is needed."""
    if sys.argv[1:] == ["--check"]:
        if is_up_to_date():
            return 0
        print(
            f"{TARGET.relative_to(ROOT)} is out of date: run `python tools/{Path(__file__).name}`"
        )
        return 1
    TARGET.write_text(derived(SOURCE.read_text(encoding="utf-8")), encoding="utf-8")
    ruff = Path(sys.executable).with_name("ruff")
    for command in (("check", "--quiet", "--select", "I", "--fix"), ("format", "--quiet")):
        subprocess.run([str(ruff), *command, str(TARGET)], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
