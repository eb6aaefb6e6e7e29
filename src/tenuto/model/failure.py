"""Failures as recorded data: what is kept of an exception after its process is gone."""

import traceback
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from tenuto.model.module_names import recorded_module_name

A = TypeVar("A")
T = TypeVar("T")

_COMMON = (Exception, BaseException, object)
_MAX_BASES = 20
_MAX_CAUSES = 20
_MAX_TEXT = 32_768
_MAX_FORMATTED = 200
"""Errors and notes that Python's own formatting is trusted with."""
_EXCEPTIONS: Any = BaseExceptionGroup.__dict__["exceptions"]


class FailureDetails(Struct, frozen=True, rename="camel", omit_defaults=True):
    """An exception as history keeps it (the Durable Task Framework's FailureDetails).

    Attributes:
        error_type: Class name, with its module unless it is a builtin. It does not depend on what
            launched the program.
        error_message: ``str(exception)``.
        stack_trace: Formatted traceback, or None when it never had one.
        inner_failure: The cause (``__cause__``, else ``__context__`` unless suppressed).
        is_non_retriable: True when no retry policy may try again.
        bases: Names of the exception classes that the class is derived from, nearest first.
            ``Exception`` is understood; what is not derived from it says ``BaseException``.
        properties: What programs in other languages tell of it besides: JSON values by name.
    """

    error_type: str
    error_message: str
    stack_trace: str | None = None
    inner_failure: "FailureDetails | None" = None
    is_non_retriable: bool = False
    bases: tuple[str, ...] = ()
    properties: dict[str, Any] | None = None

    def __str__(self) -> str:
        return f"{self.error_type}: {self.error_message}"

    def is_caused_by(self, error: type[BaseException] | str) -> bool:
        """Whether this failure or one of its causes would be caught by ``except error``.

        Args:
            error: A class; or its name, as ``error_type`` shows it or without the module.

        Example:
            ``failure.is_caused_by(OSError)`` is True for a ``ConnectionResetError``.
        """
        failure: FailureDetails | None = self
        while failure is not None:
            if _is_a(failure, error):
                return True
            failure = failure.inner_failure
        return False


def _is_a(failure: FailureDetails, error: type[BaseException] | str) -> bool:
    wanted = error if isinstance(error, str) else type_name(error)
    if wanted == "BaseException":
        return True
    if wanted == "Exception":
        return "BaseException" not in failure.bases
    names = (failure.error_type, *failure.bases)
    is_short = isinstance(error, str) and "." not in error
    return wanted in names or (is_short and any(one.endswith(f".{wanted}") for one in names))


def type_name(error: type[BaseException]) -> str:
    """The name under which an exception class is recorded: ``ValueError``, ``shop.SoldOut``.

    A class of the main program has the name that it has when the file is imported, and only its
    own when there is no file.
    """
    name, module = error.__qualname__, error.__module__
    if module == "builtins":
        return name
    known: object = module  # which a class may set to anything
    recorded = recorded_module_name(known) if isinstance(known, str) else None
    return storable_text(name if recorded is None else f"{recorded}.{name}")


def failure_of_type(error: type[BaseException], message: str) -> FailureDetails:
    """A failure that no exception stood for."""
    return FailureDetails(_type_name(error), message, bases=_bases(error))


def failure_of(error: BaseException, *, with_traceback: bool = True) -> FailureDetails:
    """Record an exception with its cause chain (at most 20 links; texts cut at 32,768).

    Never raises: what an exception says of itself is the code of users, and may raise anything.
    What cannot be found out is left out.
    """
    chain: list[BaseException] = []
    inner: FailureDetails | None = None
    link: BaseException | None = error
    while link is not None and len(chain) < _MAX_CAUSES:
        if any(link is known for known in chain):
            break
        chain.append(link)
        recorded = _asked(_recorded, link, None)
        if recorded is not None:  # work that failed elsewhere, with its own causes
            inner = _asked(
                lambda known: _first_links(known, _MAX_CAUSES - len(chain)), recorded, None
            )
            break
        link = _asked(_cause, link, None)
    for one in reversed(chain):
        inner = FailureDetails(
            error_type=_type_name(type(one)),
            error_message=_asked(_message, one, "<message not available>"),
            stack_trace=_asked(_stack, one, None) if with_traceback else None,
            inner_failure=inner,
            is_non_retriable=_asked(_is_non_retriable, one, False),
            bases=_bases(type(one)),
        )
    assert inner is not None
    return inner


def _asked(question: Callable[[A], T], of: A, otherwise: T) -> T:
    """What an object of users answers, if it answers."""
    try:
        return question(of)
    except BaseException:  # noqa: BLE001 - exits and interrupts out of its methods are errors in it
        return otherwise


def _type_name(error: type[BaseException]) -> str:
    # A metaclass may refuse even its class's name.
    return _asked(type_name, error, "Exception")


def _bases(error: type[BaseException]) -> tuple[str, ...]:
    nothing: list[type] = []
    lineage = _asked(_lineage, error, nothing)
    found = [
        _type_name(one)
        for one in lineage[1:]
        if not any(one is common for common in _COMMON) and BaseException in type.mro(one)
    ][:_MAX_BASES]
    if lineage and not any(one is Exception for one in lineage):
        found.append("BaseException")
    return tuple(found)


def _lineage(error: type[BaseException]) -> list[type]:
    return list(error.__mro__)


def _recorded(error: BaseException) -> FailureDetails | None:
    recorded = getattr(error, "failure", None)
    return recorded if isinstance(recorded, FailureDetails) else None


def _cause(error: BaseException) -> BaseException | None:
    cause: object = error.__cause__
    if cause is None and not error.__suppress_context__:
        cause = error.__context__
    return cause if isinstance(cause, BaseException) else None


def _is_non_retriable(error: BaseException) -> bool:
    return getattr(error, "is_non_retriable", False) is True


def _first_links(failure: FailureDetails | None, count: int) -> FailureDetails | None:
    """The same again, as it can be stored: users may have made it of anything."""
    if failure is None or count <= 0:
        return None
    stack = failure.stack_trace
    return FailureDetails(
        storable_text(str(failure.error_type)),
        storable_text(str(failure.error_message)),
        None if stack is None else storable_text(str(stack)),
        _first_links(failure.inner_failure, count - 1),
        is_non_retriable=bool(failure.is_non_retriable),
        bases=tuple(storable_text(str(one)) for one in failure.bases),
        properties=_asked(_storable_properties, failure.properties, None),
    )


def _storable_properties(properties: object) -> dict[str, Any] | None:
    """A copy by way of JSON; what cannot be written so is left out as a whole."""
    if properties is None:
        return None
    return msgspec.json.decode(msgspec.json.encode(properties), type=dict[str, Any])


def _notes(error: BaseException) -> object:
    return getattr(error, "__notes__", None)


def _message(error: BaseException) -> str:
    """What the error says; a group also what its members say, as far as it is shown.

    Groups that share members have many more paths than members, so this stops with the text.
    """
    parts = [_own_message(error)]
    length = len(parts[0])
    waiting = list(reversed(_members(error)))
    separator = ": "
    while waiting:
        if length > _MAX_TEXT:
            parts.append("; ...")
            break
        one = waiting.pop()
        part = f"{separator}{type_name(type(one))}: {_own_message(one)}"
        parts.append(part)
        length += len(part)
        inside = _members(one)
        # Not more than can still be shown: a group may have a million members.
        waiting.extend(reversed(inside[: _MAX_TEXT - length] if length < _MAX_TEXT else ()))
        separator = ": " if inside else "; "
    return storable_text("".join(parts))


def _members(error: BaseException) -> Sequence[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return ()
    members: Sequence[BaseException] = _EXCEPTIONS.__get__(error)  # a class may override it
    return members


def _own_message(error: BaseException) -> str:
    try:
        return storable_text(str(error))
    except BaseException as broken:  # noqa: BLE001 - a user's __str__ may raise anything
        return f"<message not available: {type(broken).__name__}>"


def _stack(error: BaseException) -> str | None:
    if error.__traceback__ is None:
        return None
    try:
        if _is_small(error):
            lines = traceback.format_exception(error, chain=False)
        else:
            lines = ["Traceback (most recent call last):\n"]
            lines += traceback.format_tb(error.__traceback__)
            lines.append(f"{type_name(type(error))}: {_own_message(error)}\n")
        return storable_text("".join(lines))
    except BaseException as broken:  # noqa: BLE001 - notes may be anything, and raise anything
        return f"<traceback not available: {type(broken).__name__}>"


def _is_small(error: BaseException) -> bool:
    """Whether Python's own formatting is affordable.

    It looks at causes that it does not show, and at each member as often as there are ways to it.
    """
    waiting = [error]
    for _ in range(_MAX_FORMATTED):
        if not waiting:
            return True
        one = waiting.pop()
        notes = _asked(_notes, one, None)
        if isinstance(notes, list) and len(notes) > _MAX_FORMATTED:
            return False
        waiting += (link for link in (one.__cause__, one.__context__) if link is not None)
        waiting += _members(one)[:_MAX_FORMATTED]
    return False


def storable_text(text: str) -> str:
    """Cut to what history keeps, with lone surrogates made visible (JSON cannot hold them)."""
    text = str.__str__(text)  # whatever class of text it is
    if len(text) > _MAX_TEXT:
        text = f"{text[: _MAX_TEXT // 2]}\n...\n{text[-_MAX_TEXT // 2 :]}"
    return text.encode("utf-8", "backslashreplace").decode()
