"""Every binding has a parameter, and every parameter a binding."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from .app import Function, RefusedError

RETURN = "$return"

# Their wrappers are called with one value, whatever its name.
_CALLED_WITH_ONE_VALUE = ("orchestrationtrigger", "entitytrigger")
_COLLECTING = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def takes_context(function: Function) -> bool:
    """Whether it wants to know of its invocation: a parameter ``context`` that is no binding."""
    bound = any(binding.get("name") == "context" for binding in function.bindings)
    return "context" in _parameters(function.callable) and not bound


def hints(function: Function) -> Mapping[str, Any]:
    """What the annotations of its parameters and of ``return`` stand for, where that is known."""
    return _hints(function.callable)


@lru_cache(maxsize=None)
def _parameters(called: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(called).parameters


@lru_cache(maxsize=None)
def _hints(called: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(called)
    except Exception:  # noqa: BLE001 - an annotation may be anything; then it says nothing to us
        return {}


def check_signature(function: Function, root: str) -> None:
    """Refuse a function whose parameters are not those of its bindings.

    Raises:
        RefusedError: names the parameters or bindings.
    """
    if function.trigger_type.lower() in _CALLED_WITH_ONE_VALUE:
        return
    taken = _parameters(function.callable)
    bound = {str(binding.get("name")) for binding in function.bindings} - {RETURN}
    takes_all = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in taken.values())
    unbound = [
        name
        for name, one in taken.items()
        if name not in bound
        and name != "context"
        and one.default is inspect.Parameter.empty
        and one.kind not in _COLLECTING
    ]
    homeless = [] if takes_all else sorted(bound - set(taken))
    if unbound:
        _refuse(
            function,
            root,
            f"{_listed('parameter', unbound)} without a binding; give it one, or a default value",
        )
    if homeless:
        _refuse(
            function,
            root,
            f"{_listed('binding', homeless)} without a parameter; add one of that name",
        )


def check_request(function: Function, root: str) -> None:
    """Refuse a function that wants a request whole in an app that streams, as Azure does.

    Raises:
        RefusedError: names the parameter.
    """
    name = str(function.trigger.get("name"))
    hint = hints(function).get(name)
    whole = importlib.import_module("azure.functions").HttpRequest
    if function.is_behind_http and isinstance(hint, type) and issubclass(hint, whole):
        _refuse(
            function,
            root,
            f"the parameter {name!r} of type azure.functions.HttpRequest. In an app that imports "
            "azurefunctions.extensions.http.fastapi all functions behind HTTP get a Request of "
            "that package, in Azure too: make it one, or let the app do without that import",
        )


def _listed(what: str, names: list[str]) -> str:
    many = "s" if len(names) > 1 else ""
    return f"the {what}{many} {', '.join(map(repr, names))}"


def _refuse(function: Function, root: str, what: str) -> None:
    file, line = function.place(root)
    raise RefusedError(f"Function {function.name!r} has {what}.", file=file, line=line)
