"""Exceptions of users, as the host can hand them on: looking at one runs no code of users.

A class of users may answer anything when it is asked for its truth, its text or its attributes: it
may raise, end the process, or cancel the task that asks. And what it says may be longer than a log
can hold. So an exception is read once, where it was raised, and what is odd about it goes no
further. Pure.
"""

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final

from tenuto.model.failure import FailureDetails, failure_of
from tenuto.model.failure_chain import links_of
from tenuto.model.texts import MOST_CHARACTERS

_MOST_ERRORS: Final = 20
"""Causes and members of groups that are handed on as they are."""
_HEAP_TYPE: Final = 1 << 9
"""Of ``type.__flags__``: the class was made by a class statement, and may have code of users."""
_OWN: Final = "tenuto."
_PLAIN: Final = (str, int, float, bool, bytes, type(None))
_HARMLESS: Final = frozenset(
    {"__annotations__", "__dict__", "__doc__", "__firstlineno__", "__init__", "__module__",
     "__new__", "__parameters__", "__reduce__", "__slots__", "__static_attributes__",
     "__weakref__", "__init_subclass__", "__orig_bases__", "__qualname__"}
)  # fmt: skip
"""What a class may define: nobody asks for it when an exception is only looked at."""

# Of Python itself: a class cannot put something else in their place.
_bases_of: Final[Any] = type.__dict__["__mro__"].__get__
_flags_of: Final[Any] = type.__dict__["__flags__"].__get__
_names_in: Final[Any] = type.__dict__["__dict__"].__get__
_cause_of: Final[Any] = BaseException.__dict__["__cause__"].__get__
_context_of: Final[Any] = BaseException.__dict__["__context__"].__get__
_args_of: Final[Any] = BaseException.__dict__["args"].__get__
_traceback_of: Final[Any] = BaseException.__dict__["__traceback__"].__get__
_members_of: Final[Any] = BaseExceptionGroup.__dict__["exceptions"].__get__


def plain_error(error: BaseException) -> BaseException:
    """The exception itself, when nothing about it is odd or very long; else one that says the same.

    To be called in the task that the code of users runs in, which it may cancel. Never raises.

    Args:
        error: What code of users has raised.

    Returns:
        The same; or a plain ``Exception`` with its name, its text, its traceback and its causes, as
        far as they can be found out and as a history would keep them.
    """
    try:
        if _is_plain(error):
            return error
    except BaseException:  # noqa: BLE001, S110 - notes and the like may be anything
        pass
    return stand_in(error)


def stand_in(error: BaseException) -> Exception:
    """A plain exception that says what another one says. Never raises."""
    traceback: TracebackType | None = _traceback_of(error)
    first, *others = links_of(failure_of(error))
    made = _made(first).with_traceback(traceback)
    one, before = made, first
    for link in others:
        cause = _made(link)
        if link.stack_trace is not None:
            cause.add_note(link.stack_trace)
        if before.while_handling:
            one.__context__ = cause
        else:
            one.__cause__ = cause
        one, before = cause, link
    return made


def _made(failure: FailureDetails) -> Exception:
    name = failure.error_type
    facts = {"__module__": "builtins", "__qualname__": name}
    kind: type[Exception] = type(name.rpartition(".")[2] or name, (Exception,), facts)
    made = kind(failure.error_message)
    for note in failure.notes:
        made.add_note(note)
    return made


def _is_plain(error: BaseException) -> bool:
    for found, one in enumerate(_all_of(error)):
        if found == _MOST_ERRORS or not _is_plain_class(type(one)) or not _has_plain_facts(one):
            return False
    return True


def _all_of(error: BaseException) -> Iterator[BaseException]:
    waiting = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        others = [_cause_of(one), _context_of(one)]
        if issubclass(type(one), BaseExceptionGroup):
            others += _members_of(one)[: _MOST_ERRORS + 1]
        waiting += [other for other in others if other is not None]


def _is_plain_class(kind: type) -> bool:
    if type(kind) is not type:
        return False
    for base in _bases_of(kind):
        if not _flags_of(base) & _HEAP_TYPE:
            continue
        names = _names_in(base)
        module = names.get("__module__")
        if type(module) is str and module.startswith(_OWN):
            continue
        if any(
            name not in _HARMLESS and name.startswith("__") and name.endswith("__")
            for name in names
        ):
            return False
    return True


def _has_plain_facts(error: BaseException) -> bool:
    """Whether its text is short, and made of nothing that has code of users."""
    arguments = _args_of(error)
    if issubclass(type(error), BaseExceptionGroup):
        arguments = arguments[:1]
    notes = getattr(error, "__notes__", [])
    if type(notes) is not list or len(arguments) > _MOST_ERRORS or len(notes) > _MOST_ERRORS:
        return False
    if any(type(one) is not str for one in notes):
        return False
    if not all(type(one) in _PLAIN for one in arguments):
        return False
    texts = [one for one in (*arguments, *notes) if isinstance(one, str | bytes)]
    numbers = [one for one in arguments if type(one) is int]
    return sum(map(len, texts)) <= MOST_CHARACTERS and all(
        one.bit_length() <= MOST_CHARACTERS for one in numbers
    )
