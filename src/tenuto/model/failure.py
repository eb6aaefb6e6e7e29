"""Failures as recorded data: what is kept of an exception after its process is gone."""

import traceback
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tenuto.model import failure_chain
from tenuto.model.class_names import is_named, type_name
from tenuto.model.errors import OrchestrationFailedError
from tenuto.model.failure_fields import Fields, class_of, fields_of, rebuilt
from tenuto.model.texts import MOST_CHARACTERS, storable_text

A = TypeVar("A")
E = TypeVar("E", bound=BaseException)
T = TypeVar("T")

_COMMON = (Exception, BaseException, object)
_MAX_BASES = 20
_MOST_LINKS = 1_000
"""Causes that are looked at in search of the first of all."""
_MAX_NOTES = 20
_MAX_FORMATTED = 200
"""Errors and notes that Python's own formatting is trusted with."""
_MOST_MEMBERS = 20
"""Exceptions of a group that are kept."""
_ROOM_FOR_MEMBERS = 128 * 1024
"""Bytes of JSON that they may take together."""
_EXCEPTIONS: Any = BaseExceptionGroup.__dict__["exceptions"]


class FailureDetails(Struct, frozen=True, rename="camel", omit_defaults=True):
    """An exception as history keeps it (the Durable Task Framework's FailureDetails).

    Attributes:
        error_type: Class name, with its module unless it is a builtin. It does not depend on what
            launched the program.
        error_message: ``str(exception)``.
        stack_trace: Formatted traceback, or None when it never had one.
        inner_failure: What led to it (``__cause__``); or, with ``while_handling``, what was being
            handled when it was raised (``__context__`` unless suppressed).
        is_non_retriable: True when no retry policy may try again.
        bases: Names of the exception classes that the class is derived from, nearest first.
            ``Exception`` is understood; what is not derived from it says ``BaseException``.
        properties: What the exception carries besides, as JSON values by name: its public
            attributes, as far as they can be stored, and what programs in other languages tell.
        args: Its ``args``; None when they say no more than the message, or cannot be stored.
        kinds: Of properties and ``args.0``, which are no plain JSON values, and what they are.
        levels: How many failed calls in a row this one stands for.
        omitted: Causes between this one and its cause that were too many to be kept.
        while_handling: True when ``inner_failure`` did not lead to this, but was being handled.
        notes: What was added to it with ``add_note``.
        members: Of an exception group the exceptions in it that are no groups themselves, each with
            its causes and without tracebacks, as far as there is room.
    """

    error_type: str
    error_message: str
    stack_trace: str | None = None
    inner_failure: "FailureDetails | None" = None
    is_non_retriable: bool = False
    bases: tuple[str, ...] = ()
    properties: dict[str, Any] | None = None
    args: list[Any] | None = None
    kinds: dict[str, str] | None = None
    levels: int = 1
    omitted: int = 0
    while_handling: bool = False
    notes: tuple[str, ...] = ()
    members: "tuple[FailureDetails, ...]" = ()

    def __str__(self) -> str:
        return f"{self.error_type}: {self.error_message}"

    @property
    def root_cause(self) -> "FailureDetails":
        """The failure that led to this one: itself, where none did.

        What was only being handled led to nothing: see ``handled``.
        """
        return failure_chain.parts_of(self)[0][-1]

    @property
    def handled(self) -> "FailureDetails | None":
        """What was being handled when the root cause was raised; None outside of ``except``.

        Example:
            The ``CardDeclined``, when the code after ``except CardDeclined:`` has a mistake.
        """
        root = self.root_cause
        return root.inner_failure if root.while_handling else None

    @property
    def summary(self) -> str:
        """What failed in the first place, and how it got here, for people.

        Example:
            ``shop.CardDeclined: 51 (failed 3 levels below, in activity 'charge')``

            ``KeyError: 'code'; raised while handling shop.CardDeclined: 51``
        """
        return failure_chain.summary(self)

    def is_caused_by(
        self, error: type[BaseException] | str | tuple[type[BaseException] | str, ...]
    ) -> bool:
        """Whether this failure, one of its causes, or what was being handled at the time, would be
        caught by ``except error``; of an exception group also whether ``except* error`` would.

        Args:
            error: A class; or its name, as ``error_type`` shows it or without the module; or
                several of them.

        Example:
            ``failure.is_caused_by(OSError)`` is True for a ``ConnectionResetError``.
        """
        wanted = error if isinstance(error, tuple) else (error,)
        return any(_is_a(one, kind) for one in failure_chain.all_of(self) for kind in wanted)

    def find(self, error: type[E]) -> E | None:
        """The first failure that ``except error`` would catch, as an exception again; of an
        exception group also the first member.

        Its fields and causes are those that were recorded. Which class it has depends on nothing
        but the recorded name and what is given here, so that orchestrators may ask.

        Args:
            error: A class.

        Returns:
            An exception of that class, or of the subclass that was raised if this process has
            imported it; None when nothing of that class was raised, or when Python makes none of
            that class without its own code (a group, an error of a codec or of pydantic).

        Example:
            ``if declined := error.failure.find(CardDeclined): print(declined.code)``
        """
        for link in failure_chain.all_of(self):
            if _is_a(link, error):
                kinds: tuple[type[BaseException], ...] = (class_of(link, error), error)
                for kind in kinds:
                    found = rebuilt(link, kind)
                    if isinstance(found, error):
                        return found
        return None

    def to_exception(self) -> BaseException:
        """The exception that was raised, with its fields and causes.

        It has the class that was raised if this process has imported it, else its nearest base
        that is here. Nothing is imported, and no method of the class is called.
        """
        return rebuilt(self)


def _is_a(failure: FailureDetails, error: type[BaseException] | str) -> bool:
    wanted = error if isinstance(error, str) else type_name(error)
    if wanted == "BaseException":
        return True
    if wanted == "Exception":
        return "BaseException" not in failure.bases
    names = (failure.error_type, *failure.bases)
    if wanted in names:
        return True
    if not isinstance(error, str):
        return any(is_named(error, one) for one in names)
    return "." not in error and any(one.endswith(f".{wanted}") for one in names)


def failure_of_type(error: type[BaseException], message: str) -> FailureDetails:
    """A failure that no exception stood for."""
    return FailureDetails(_type_name(error), message, bases=_bases(error))


class _Link(NamedTuple):
    """A part of a chain: an exception, or what was recorded of one elsewhere.

    ``while_handling`` says that the next one was being handled when it was raised.
    """

    of: BaseException | FailureDetails
    while_handling: bool


def failure_of(error: BaseException, *, with_traceback: bool = True) -> FailureDetails:
    """Record an exception with its cause chain (long chains without what lies between
    both ends; texts cut at 32,768).

    Never raises: what an exception says of itself is the code of users, and may raise anything.
    What cannot be found out is left out.
    """
    return _failure_of(error, with_traceback=with_traceback, with_members=True)


def _failure_of(
    error: BaseException, *, with_traceback: bool, with_members: bool
) -> FailureDetails:
    chain = _chain_of(error)
    raised = [index for index, one in enumerate(chain) if isinstance(one.of, BaseException)]
    half = failure_chain.MOST_LINKS
    # What is left out again need not be looked at closely.
    gap = slice(raised[half], raised[-half]) if len(raised) > 2 * half else slice(0, 0)
    links = [
        _recorded_link(one, with_traceback=with_traceback, with_members=with_members)
        for one in (*chain[: gap.start], *chain[gap.stop :])
    ]
    if gap.start:
        links[gap.start - 1] = failure_chain.with_gap(
            links[gap.start - 1],
            omitted=gap.stop - gap.start,
            while_handling=any(one.while_handling for one in chain[gap]),
        )
    failure = failure_chain.joined(links)
    assert failure is not None
    return failure


def _chain_of(error: BaseException) -> list[_Link]:
    chain: list[_Link] = []
    nothing: list[FailureDetails] = []
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen and len(seen) < _MOST_LINKS:
        seen.add(id(link))
        recorded = _asked(_recorded, link, None)
        cause = None if recorded is not None else _asked(_cause, link, None)
        handled = None if cause is not None else _asked(_handled, link, None)
        chain.append(_Link(link, while_handling=False))
        if recorded is not None:  # work that failed elsewhere, with its own causes
            elsewhere = _asked(_storable_links, recorded, nothing)
            chain += [_Link(one, while_handling=one.while_handling) for one in elsewhere]
        link = cause if cause is not None else handled
        if handled is not None and id(handled) not in seen:
            chain[-1] = chain[-1]._replace(while_handling=True)
    return chain


def _recorded_link(link: _Link, *, with_traceback: bool, with_members: bool) -> FailureDetails:
    # Asked in this order: a class of users may answer the question for its class itself.
    if isinstance(link.of, BaseException):
        failure = _link_of(link.of, with_traceback=with_traceback)
        nothing: tuple[FailureDetails, ...] = ()
        members = _asked(_members_of, link.of, nothing) if with_members else nothing
        if members:
            failure = replace(failure, members=members)
    else:
        failure = link.of
    return replace(failure, while_handling=link.while_handling)


def _link_of(error: BaseException, *, with_traceback: bool) -> FailureDetails:
    """One exception, without its causes."""
    message = _asked(_message, error, "<message not available>")
    fields = _asked(lambda one: fields_of(one, message), error, _NO_FIELDS)
    return FailureDetails(
        error_type=_type_name(type(error)),
        error_message=message,
        stack_trace=_asked(_stack, error, None) if with_traceback else None,
        is_non_retriable=_asked(_is_non_retriable, error, False),
        bases=_bases(type(error)),
        properties=fields.values or None,
        args=fields.args,
        kinds=fields.kinds or None,
        notes=_asked(_kept_notes, error, ()),
    )


def _members_of(error: BaseException) -> tuple[FailureDetails, ...]:
    """What went wrong in a group, as far as there is room for it.

    A group inside is looked through: what is in it stands beside the other members, once even
    where groups share members. A group among the causes of a member is not, since it may be this
    one.
    """
    members = [
        failure_chain.without_traces(_failure_of(one, with_traceback=False, with_members=False))
        for one in _in_groups(error)
    ]
    ends = accumulate(len(msgspec.json.encode(one)) for one in members)
    return tuple(one for one, end in zip(members, ends, strict=True) if end <= _ROOM_FOR_MEMBERS)


def _in_groups(group: BaseException) -> tuple[BaseException, ...]:
    """The first exceptions that are no groups, in the order in which people are shown them."""
    found: list[BaseException] = []
    waiting = list(reversed(_members(group)[:_MOST_MEMBERS]))
    seen = {id(group)}
    while waiting and len(found) < _MOST_MEMBERS and len(seen) < _MOST_LINKS:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, BaseExceptionGroup):
            waiting.extend(reversed(_members(one)[:_MOST_MEMBERS]))
        else:
            found.append(one)
    return tuple(found)


_NO_FIELDS = Fields({}, None, {})


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
    return cause if isinstance(cause, BaseException) else None


def _handled(error: BaseException) -> BaseException | None:
    handled: object = None if error.__suppress_context__ else error.__context__
    return handled if isinstance(handled, BaseException) else None


def _is_non_retriable(error: BaseException) -> bool:
    return getattr(error, "is_non_retriable", False) is True


def _storable_links(failure: FailureDetails) -> list[FailureDetails]:
    """The same again, as they can be stored: users may have made them of anything."""
    links: list[FailureDetails] = []
    link: FailureDetails | None = failure
    while link is not None and len(links) < _MOST_LINKS:
        stack = link.stack_trace
        carried = _asked(_storable_fields, link, _NO_FIELDS)
        links.append(
            FailureDetails(
                storable_text(str(link.error_type)),
                storable_text(str(link.error_message)),
                None if stack is None else storable_text(str(stack)),
                is_non_retriable=bool(link.is_non_retriable),
                bases=tuple(storable_text(str(one)) for one in link.bases),
                properties=carried.values or None,
                args=carried.args,
                kinds=carried.kinds or None,
                levels=int(link.levels),
                omitted=int(link.omitted),
                while_handling=bool(link.while_handling),
                notes=tuple(storable_text(str(one)) for one in link.notes),
                members=_storable_members(link),
            )
        )
        link = link.inner_failure
    return links


def _storable_members(failure: FailureDetails) -> tuple[FailureDetails, ...]:
    """Copies, unless something in them cannot be written."""
    nothing: tuple[FailureDetails, ...] = ()
    return _asked(_copies, failure.members, nothing) if failure.members else nothing


def _copies(members: tuple[FailureDetails, ...]) -> tuple[FailureDetails, ...]:
    return msgspec.json.decode(msgspec.json.encode(members), type=tuple[FailureDetails, ...])


def _storable_fields(failure: FailureDetails) -> Fields:
    """Copies by way of JSON; what cannot be written so is left out as a whole."""
    given = Fields(failure.properties or {}, failure.args, failure.kinds or {})
    return msgspec.json.decode(msgspec.json.encode(given), type=Fields)


def _notes(error: BaseException) -> object:
    return getattr(error, "__notes__", None)


def _kept_notes(error: BaseException) -> tuple[str, ...]:
    """Its notes, as far as there is room for them."""
    notes = _notes(error)
    if not isinstance(notes, list) or isinstance(error, OrchestrationFailedError):
        return ()  # ours are tracebacks, which the failure has itself
    texts = [storable_text(one) for one in notes[:_MAX_NOTES] if type(one) is str]
    ends = accumulate(map(len, texts))
    return tuple(text for text, end in zip(texts, ends, strict=True) if end <= MOST_CHARACTERS)


def _message(error: BaseException) -> str:
    """What the error says; a group also what its members say, as far as it is shown.

    Groups that share members have many more paths than members, so this stops with the text.
    """
    parts = [_own_message(error)]
    length = len(parts[0])
    waiting = list(reversed(_members(error)))
    separator = ": "
    while waiting:
        if length > MOST_CHARACTERS:
            parts.append("; ...")
            break
        one = waiting.pop()
        part = f"{separator}{type_name(type(one))}: {_own_message(one)}"
        parts.append(part)
        length += len(part)
        inside = _members(one)
        # Not more than can still be shown: a group may have a million members.
        waiting.extend(
            reversed(inside[: MOST_CHARACTERS - length] if length < MOST_CHARACTERS else ())
        )
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
