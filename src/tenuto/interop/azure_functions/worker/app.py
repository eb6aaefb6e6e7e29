"""What an app consists of, however it was written down."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Binding = dict[str, Any]

_OF_PACKAGES = (".python_packages", "site-packages", "dist-packages")


class RefusedError(Exception):
    """The app cannot be run.

    Args:
        message: What is wrong and what to do, in one or two sentences.
        file: Where, relative to the app's folder.
        line: In that file, from 1.
        stack: For people who look closer.
    """

    def __init__(
        self, message: str, *, file: str | None = None, line: int | None = None, stack: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.line = line
        self.stack = stack


@dataclass(frozen=True)
class Function:
    """A function of the app.

    Attributes:
        name: As the app says it.
        callable: What is called; wrapped by the packages' decorators.
        bindings: As in ``function.json``.
        directory: The folder that the function's context names.
        aliases: Other names under which orchestrators call it.
        retry: Its retry policy, as in ``function.json``.
    """

    name: str
    callable: Callable[..., Any]
    bindings: Sequence[Binding]
    directory: str
    aliases: Sequence[str] = ()
    retry: dict[str, Any] | None = None

    @property
    def trigger(self) -> Binding:
        """What makes it run; empty when there is nothing."""
        for binding in self.bindings:
            if str(binding.get("type", "")).lower().endswith("trigger"):
                return binding
        return {}

    @property
    def trigger_type(self) -> str:
        return str(self.trigger.get("type", ""))

    @property
    def is_behind_http(self) -> bool:
        return self.trigger_type.lower() == "httptrigger"

    @property
    def needs_durable_task(self) -> bool:
        """Whether it belongs to azure-functions-durable 2.x, which speaks another protocol."""
        return any(binding.get("durableRequiresGrpc") for binding in self.bindings)

    @property
    def code(self) -> Any:
        """The code object that a person wrote, or None when there is none."""
        written = self.callable
        for attribute in ("orchestrator_function", "entity_function", "client_function"):
            written = getattr(written, attribute, written)
        return getattr(inspect.unwrap(written), "__code__", None)

    def facts(self, root: str) -> dict[str, Any]:
        """What the host is told."""
        facts: dict[str, Any] = {"name": self.name, "bindings": self.bindings}
        if self.aliases:
            facts["aliases"] = self.aliases
        if self.retry:
            facts["retry"] = self.retry
        facts["file"], facts["line"] = self.place(root)
        return facts

    def place(self, root: str) -> tuple[str | None, int | None]:
        """File and line in the app; None where it was made by a package."""
        code = self.code
        file = None if code is None else own_file(code.co_filename, root)
        return file, None if file is None else code.co_firstlineno


@dataclass(frozen=True)
class App:
    """A loaded app.

    Attributes:
        root: Its folder.
        functions: In the app's order.
        notes: What a person should know.
        register: The object that holds a v2 app together; None in v1.
        web_extension: What its functions behind HTTP are to be run with when they stream; None when
            they do not.
    """

    root: str
    functions: Sequence[Function]
    notes: Sequence[str] = ()
    register: Any = None
    web_extension: Any = None
    by_name: dict[str, Function] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.by_name.update({function.name.lower(): function for function in self.functions})

    def function(self, name: str) -> Function:
        """The function of a name, whose case does not matter.

        Raises:
            LookupError: there is none.
        """
        try:
            return self.by_name[name.lower()]
        except KeyError:
            raise LookupError(f"the app has no function {name!r}") from None


def own_file(path: str, root: str) -> str | None:
    """A path below the app's folder, relative to it; None for what packages have brought there."""
    path = os.path.abspath(path)
    inside = os.path.join(os.path.abspath(root), "")
    if not path.startswith(inside):
        return None
    below = path[len(inside) :]
    return None if any(folder in below.split(os.sep) for folder in _OF_PACKAGES) else below


def relative(path: str, root: str) -> str:
    """A path as people of the app see it: below the app's folder where it is there."""
    path = os.path.abspath(path)
    inside = path.startswith(os.path.join(os.path.abspath(root), ""))
    return os.path.relpath(path, root) if inside else path
