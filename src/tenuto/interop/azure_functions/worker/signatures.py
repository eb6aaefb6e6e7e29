"""Every binding has a parameter, and every parameter a binding."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from .app import Function, RefusedError, relative

RETURN = "$return"

# Their wrappers are called with one value, whatever its name.
_CALLED_WITH_ONE_VALUE = ("orchestrationtrigger", "entitytrigger")
_COLLECTING = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def parameters(function: Function) -> Mapping[str, inspect.Parameter]:
    """The parameters of what is called, by name, with their annotations read where they can be."""
    return inspect.signature(function.callable).parameters


def takes_context(function: Function) -> bool:
    """Whether it wants to know of its invocation: a parameter ``context`` that is no binding."""
    bound = any(binding.get("name") == "context" for binding in function.bindings)
    return "context" in parameters(function) and not bound


def check_signature(function: Function, root: str) -> None:
    """Refuse a function whose parameters are not those of its bindings.

    Raises:
        RefusedError: names the parameters or bindings.
    """
    if function.trigger_type.lower() in _CALLED_WITH_ONE_VALUE:
        return
    taken = parameters(function)
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


def _listed(what: str, names: list[str]) -> str:
    many = "s" if len(names) > 1 else ""
    return f"the {what}{many} {', '.join(map(repr, names))}"


def _refuse(function: Function, root: str, what: str) -> None:
    code: Any = function.code
    raise RefusedError(
        f"Function {function.name!r} has {what}.",
        file=None if code is None else relative(code.co_filename, root),
        line=None if code is None else code.co_firstlineno,
    )
