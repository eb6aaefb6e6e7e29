"""Taking the place of asyncio's functions inside sessions, for next to nothing everywhere else.

``from asyncio import gather`` binds the function early, so it is not enough to put another one
under the name: the stock function object itself must ask which loop is running. So it gets a copy
of its own code, compiled from its own source with that question in front; its parameters go on as
they are. Everybody else pays for the question and for nothing more (decision 0016). Done by the
first host of a process that runs orchestrators, never by an import (ENGINE rule 43).
"""

import ast
import functools
import inspect
from asyncio.events import _get_running_loop as running_loop
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from tenuto.orchestration.loop import SessionLoop


def take_over(stock: Any, ours: Callable[..., Any]) -> Callable[..., Any]:  # noqa: ANN401 - has __code__
    """Make a stock function call ours when a session runs; returns what it was before.

    Only its code is exchanged, so whoever holds the function, by whatever name, has the new one.
    Done twice, the last one counts: tools that reload modules leave two of ours behind.
    """
    name = f"_tenuto_{stock.__qualname__.replace('.', '_')}"
    ask = {"_tenuto_running_loop": running_loop, "_tenuto_session": SessionLoop}
    stock.__globals__.update(ask | {name: ours})
    before: Callable[..., Any] | None = getattr(stock, "__wrapped__", None)
    if before is not None:
        return before
    before = _copy(stock)
    code = _asking_first(stock, name)
    if code is None:
        _go_through(stock, functools.partial(_choose, before, stock.__globals__, name))
    else:
        stock.__code__ = code
    stock.__wrapped__ = before  # for inspect: signature and source are the stock ones
    return before


def _copy(stock: FunctionType) -> FunctionType:
    copy = FunctionType(
        stock.__code__, stock.__globals__, stock.__name__, stock.__defaults__, stock.__closure__
    )
    copy.__kwdefaults__ = stock.__kwdefaults__
    copy.__qualname__ = stock.__qualname__
    return copy


# --- with the source ----------------------------------------------------------------------------


def _asking_first(stock: FunctionType, ours: str) -> CodeType | None:
    """Its code with the question in front; None unless the source at hand gives its very code."""
    if inspect.isgeneratorfunction(stock):
        return None  # nothing in it runs when it is called
    try:
        tree = ast.parse(_source_in_place(stock))
    except (OSError, SyntaxError):
        return None
    if _compiled(tree, stock) != stock.__code__:
        return None  # another version's source, or somebody has changed the function
    function: Any = next(one for one in ast.walk(tree) if _is_function(one))
    described = ast.get_docstring(function, clean=False) is not None
    function.body.insert(int(described), _question(function, ours))
    return _compiled(tree, stock)


def _source_in_place(stock: FunctionType) -> str:
    """Its source, each token in its line and column: tracebacks go on pointing at them.

    What it uses of other modules is imported in line 1, because calls of what is imported are
    compiled in another way.
    """
    lines, first = inspect.getsourcelines(stock)
    modules = [name for name, value in stock.__globals__.items() if isinstance(value, ModuleType)]
    owner = stock.__qualname__.rpartition(".")[0]
    head = [f"import {', '.join(modules)}", *[""] * (first - 2)]
    if owner:
        head[-1] = f"class {owner}:"
    return "\n".join((*head, "".join(lines)))


def _is_function(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def _compiled(tree: ast.Module, stock: FunctionType) -> CodeType | None:
    code = compile(tree, stock.__code__.co_filename, "exec", dont_inherit=True)
    return next((one for one in _nested(code) if one.co_qualname == stock.__qualname__), None)


def _nested(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _nested(constant)


def _question(function: Any, ours: str) -> ast.stmt:  # noqa: ANN401 - a def or an async def
    wait = "await " if isinstance(function, ast.AsyncFunctionDef) else ""
    (question,) = ast.parse(
        "if type(_tenuto_running_loop()) is _tenuto_session: "
        f"return {wait}{ours}({_passed_on(function.args)})"
    ).body
    for node in ast.walk(question):
        ast.copy_location(node, function)
        if isinstance(node, ast.stmt | ast.expr):  # all of it in one place: the def's line
            node.end_lineno, node.end_col_offset = node.lineno, node.col_offset
    return question


def _passed_on(parameters: ast.arguments) -> str:
    """The parameters as the arguments of a call."""
    passed = [one.arg for one in (*parameters.posonlyargs, *parameters.args)]
    if parameters.vararg is not None:
        passed.append(f"*{parameters.vararg.arg}")
    passed += [f"{one.arg}={one.arg}" for one in parameters.kwonlyargs]
    if parameters.kwarg is not None:
        passed.append(f"**{parameters.kwarg.arg}")
    return ", ".join(passed)


# --- without it: a program packed without sources pays for a second call ------------------------


def _go_through(stock: FunctionType, choose: Callable[[], Callable[..., Any]]) -> None:
    dispatch = _dispatch_coroutine if inspect.iscoroutinefunction(stock) else _dispatch
    stock.__defaults__ = None
    stock.__kwdefaults__ = {"_choose": choose}
    stock.__code__ = dispatch.__code__


def _choose(
    before: Callable[..., Any], names: dict[str, Callable[..., Any]], ours: str
) -> Callable[..., Any]:
    return names[ours] if type(running_loop()) is SessionLoop else before


def _dispatch(*args: Any, _choose: Any, **named: Any) -> Any:  # noqa: ANN401 - of any function
    return _choose()(*args, **named)


async def _dispatch_coroutine(*args: Any, _choose: Any, **named: Any) -> Any:  # noqa: ANN401 - the same
    return await _choose()(*args, **named)
