"""The functions of an app by what triggers them, and by the names under which they are called."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tenuto.interop.workers.protocol import FunctionFacts
from tenuto.model.errors import TenutoError

ORCHESTRATION: Final = "orchestrationtrigger"
ACTIVITY: Final = "activitytrigger"
ENTITY: Final = "entitytrigger"
HTTP: Final = "httptrigger"
TIMER: Final = "timertrigger"
CLIENTS: Final = frozenset({"durableclient", "orchestrationclient"})

_OWN_NAMES: Final = {ORCHESTRATION: "orchestration", ACTIVITY: "activity", ENTITY: "entityName"}
"""The member of a trigger that gives another name than the function's."""


class FunctionFailedError(TenutoError):
    """A function of an app has failed; the message is what it raised.

    Args:
        message: For the log; may hold what user code has said.
        invocation: The id of the call.
        stack: Where it was raised in the app; empty when that is not known.
    """

    def __init__(self, message: str, invocation: str, stack: str = "") -> None:
        super().__init__(message)
        self.invocation: str = invocation
        self.stack: str = stack


def trigger_type(function: FunctionFacts) -> str:
    """The type of its trigger, in small letters; empty when it has none."""
    return str(function.trigger.get("type", "")).lower()


def durable_name(function: FunctionFacts) -> str:
    """The name under which orchestrations call it."""
    member = _OWN_NAMES.get(trigger_type(function), "")
    return str(function.trigger.get(member) or function.name)


def clients_of(function: FunctionFacts) -> list[str]:
    """The names of its bindings that are durable clients."""
    return [
        str(one["name"]) for one in function.bindings if str(one.get("type", "")).lower() in CLIENTS
    ]


def is_durable(function: FunctionFacts) -> bool:
    """Whether a binding of it is one of durable functions."""
    kinds = {str(one.get("type", "")).lower() for one in function.bindings}
    return not kinds.isdisjoint(CLIENTS | _OWN_NAMES.keys())


class NamedFunctions:
    """Orchestrators, or activities, found in whatever case their names are written.

    Args:
        functions: All functions of the app.
        kind: The type of trigger.
    """

    def __init__(self, functions: Iterable[FunctionFacts], kind: str) -> None:
        self._all = {durable_name(one): one for one in functions if trigger_type(one) == kind}
        # An alias is a name that nobody else has. The function's own name is one, where its trigger
        # gives another: a package that is given the function itself sends that.
        self._found: dict[str, tuple[str, FunctionFacts]] = {}
        for name, one in self._all.items():
            for alias in one.aliases:
                self._found.setdefault(alias.casefold(), (name, one))
        for name, one in self._all.items():
            self._found[one.name.casefold()] = (name, one)
        for name, one in self._all.items():
            self._found[name.casefold()] = (name, one)

    @property
    def names(self) -> Sequence[str]:
        """Their names, in the app's order."""
        return list(self._all)

    @property
    def all(self) -> Mapping[str, FunctionFacts]:
        """Each by its name."""
        return self._all

    def find(self, name: str) -> tuple[str, FunctionFacts] | None:
        """The name and the function that somebody means."""
        return self._found.get(name.casefold())


def binding_of(function: FunctionFacts, kind: str) -> Mapping[str, Any] | None:
    """Its first binding of a type; None when it has none."""
    for one in function.bindings:
        if str(one.get("type", "")).lower() == kind:
            return one
    return None
