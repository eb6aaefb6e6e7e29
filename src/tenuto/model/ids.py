"""Identifiers: what they look like, how they are checked and made.

Instance ids come from people and are checked once, where they enter. Execution ids and message
ids are made by Tenuto. Keeps the promise ``bad_input_is_refused_whole``.
"""

import os
import re
from collections.abc import Callable
from typing import Final, NewType, TypeAlias

from tenuto.model.errors import InputError, InvalidInstanceIdError
from tenuto.model.texts import check_unicode
from tenuto.model.timing import Microseconds

InstanceId = NewType("InstanceId", str)
ExecutionId = NewType("ExecutionId", str)
MessageId = NewType("MessageId", str)

MemoryId = NewType("MemoryId", int)
"""Names what a client of this process asks for, from above zero: it never has a row of its own."""

AnyMessageId: TypeAlias = MessageId | MemoryId | None
"""Of a message: its row's, or that of a request in memory; None: nobody has to know it again."""

MAX_INSTANCE_ID_LENGTH = 256
_CHILD_ID: Final = re.compile("([0-9a-f]{32}):([0-9a-f]{4,8})")
_FRESH_ID: Final = re.compile("[0-9a-f]{32}")
_MOMENT_DIGITS: Final = 12
_LINKED_HUB: Final = re.compile("[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_FORBIDDEN = frozenset("/\\#?") | {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))}

# Written out, since Python's own tables differ from version to version.
UNSEEN: Final = (
    r"\u00a0\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u1680\u180e\u2000-\u200f"
    r"\u2028-\u202f\u205f-\u206f\u3000\ufeff\ufff9-\ufffb"
)
"""Characters of format and blanks other than the space, as ranges of a regular expression: two ids
that look the same would not be.
"""
_UNSEEN_FAR: Final = (
    r"\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0001\U000e0020-\U000e007f"
)
_find_unseen: Final = re.compile(f"[{UNSEEN}{_UNSEEN_FAR}]").search


def check_instance_id(text: object) -> InstanceId:
    r"""Return ``text`` as an instance id or refuse it.

    The rules are those of Durable Functions: 1 to 256 characters, no control characters, none of
    ``/ \ # ?``, and no leading ``@`` (that marks an entity). And it must be seen for what it is, in
    a log and in an address: not ``.`` or ``..``, no blank at an end, no character that shows
    nothing.

    Raises:
        InvalidInstanceIdError: naming the rule that is broken.
    """
    if not isinstance(text, str):
        raise InvalidInstanceIdError(
            text, f"it is no string, but of the type {type(text).__name__}"
        )
    if not 1 <= len(text) <= MAX_INSTANCE_ID_LENGTH:
        raise InvalidInstanceIdError(
            text, f"it has {len(text)} characters; 1 to {MAX_INSTANCE_ID_LENGTH} are allowed"
        )
    if text.startswith("@"):
        raise InvalidInstanceIdError(text, "a leading '@' is reserved for entities")
    if not _FORBIDDEN.isdisjoint(text):
        found = next(character for character in text if character in _FORBIDDEN)
        reason = f"it contains {found!r}; / \\ # ? are not allowed"
        if found == "/" and _LINKED_HUB.fullmatch(text.partition("/")[0]):
            reason += (
                ". With the name of a linked hub before it, it would be an instance there, which "
                "can be started and told events, nothing else"
            )
        raise InvalidInstanceIdError(text, reason)
    if text in {".", ".."}:
        raise InvalidInstanceIdError(text, "in an address it would stand for a folder")
    if text[0] == " " or text[-1] == " ":
        raise InvalidInstanceIdError(text, "it begins or ends with a blank")
    if not text.isascii():
        _check_beyond_ascii(text)
    return InstanceId(text if type(text) is str else str.__str__(text))


def check_hub_name(text: object) -> str:
    """Return ``text`` as the name of a linked hub or refuse it.

    Raises:
        InputError: it is none: 1 to 64 letters, digits, ``_`` and ``-``, the first no sign.
    """
    if isinstance(text, str):
        check_unicode(text, "the name of a linked hub")
    if not isinstance(text, str) or not _LINKED_HUB.fullmatch(text):
        shown = repr(text)[:80]
        raise InputError(
            f"{shown} cannot be the name of a linked hub: it has 1 to 64 ASCII letters, digits, "
            "'_' and '-', and begins with a letter or a digit"
        )
    return text


def address_of(hub: str, instance_id: str) -> InstanceId:
    """How an instance of a linked hub is called here: no instance of this hub has such an id."""
    return InstanceId(f"{hub}/{instance_id}")


def split_address(text: str) -> tuple[str, InstanceId] | None:
    """The linked hub and the instance there that an id stands for; None for an id of this hub."""
    hub, slash, instance_id = text.partition("/")
    return (hub, InstanceId(instance_id)) if slash else None


def check_address(text: object) -> InstanceId:
    """Return ``text`` as the id of an instance here, or as the address of one of a linked hub.

    Raises:
        InputError: it is neither; the name of the hub breaks the rules.
        InvalidInstanceIdError: the id breaks the rules.
    """
    found = split_address(text) if isinstance(text, str) else None
    if found is None:
        return check_instance_id(text)
    return address_of(check_hub_name(found[0]), check_instance_id(found[1]))


def _check_beyond_ascii(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInstanceIdError(text, "it holds half of a surrogate pair") from None
    unseen = _find_unseen(text)
    if unseen is not None:
        raise InvalidInstanceIdError(
            text, f"it contains {unseen[0]!a}, which cannot be seen, or not be told from a space"
        )


def _ignore(**_callbacks: Callable[[], None]) -> None:
    pass


_DIGITS = 20
"""Random ones of a fresh id: 80 bits."""


class _FreshIds:
    """Ids ordered by time: 48 bits of milliseconds since 1970, then 80 random bits.

    An index of ids that come in order is written at its end; random ones touch a page each, which
    costs 4 times the bytes in a store of a million instances. The random bits keep ids unique
    across processes and impossible to guess. They are asked of the system for many ids at a time,
    because a call for each costs 3 µs.
    """

    def __init__(self) -> None:
        self._pool: list[str] = []
        self._beginning = (-1, "")  # one value: threads of clients make ids too
        # A child made by fork must not give out its parent's ids again. Windows has no fork.
        at_fork = getattr(os, "register_at_fork", _ignore)
        at_fork(after_in_child=self._pool.clear)

    def take(self, now: Microseconds) -> str:
        millisecond = now // 1000
        known, beginning = self._beginning
        if millisecond != known:
            beginning = f"{millisecond:012x}"
            self._beginning = millisecond, beginning
        while True:
            try:
                return beginning + self._pool.pop()
            except IndexError:
                digits = os.urandom(_DIGITS // 2 * 512).hex()
                self._pool.extend(
                    digits[at : at + _DIGITS] for at in range(0, len(digits), _DIGITS)
                )


_FRESH = _FreshIds()


def new_instance_id(now: Microseconds) -> InstanceId:
    """A fresh instance id, 32 hexadecimal digits, ordered by ``now`` (microseconds since 1970)."""
    return InstanceId(_FRESH.take(now))


def new_execution_id(now: Microseconds) -> ExecutionId:
    """A fresh execution id, as an instance id: children without an id are named after it."""
    return ExecutionId(_FRESH.take(now))


def moment_of(execution_id: str) -> Microseconds | None:
    """When a fresh id was made, to the millisecond; None for one that is not of this form."""
    if _FRESH_ID.fullmatch(execution_id) is None:
        return None
    return int(execution_id[:_MOMENT_DIGITS], 16) * 1000


def new_message_id(now: Microseconds) -> MessageId:
    """A fresh id for a message of a client: ``client-`` and the same 32 digits."""
    return MessageId(f"client-{_FRESH.take(now)}")


def child_instance_id(execution_id: ExecutionId, event_id: int) -> InstanceId:
    """The id of a sub-orchestration that was given none: Durable Functions' form."""
    return InstanceId(f"{execution_id}:{event_id:04x}")


def derived_from(instance_id: InstanceId) -> tuple[ExecutionId, int] | None:
    """The execution and the event whose ``child_instance_id`` this is; None for any other id."""
    match = _CHILD_ID.fullmatch(instance_id)
    return None if match is None else (ExecutionId(match[1]), int(match[2], 16))


def reserved_id(instance_id: InstanceId) -> InvalidInstanceIdError:
    """The error of who chooses a free id that a sub-orchestration may yet get."""
    reason = "ids of this form are those of sub-orchestrations, given out by Tenuto"
    return InvalidInstanceIdError(instance_id, reason)


def iid_of_arrival(number: int) -> int:
    """The iid of an instance that another process has inserted: its arrival number, below zero.

    Owners number their own instances from above zero, out of what was reserved for them, so the two
    never meet. Only these three functions and the queries of the store know of it.
    """
    return -number


def arrival_of(iid: int) -> int:
    """The arrival number of an instance from outside."""
    return -iid


def is_from_outside(iid: int) -> bool:
    """Whether another process has inserted the instance."""
    return iid < 0


def is_of_memory(message_id: AnyMessageId) -> bool:
    """Whether a message is a request of a client of this process."""
    return isinstance(message_id, int)


def partition_of(instance_id: str, partitions: int) -> int:
    """The partition an instance lives in: 32-bit FNV-1a of the UTF-8 id, modulo ``partitions``.

    The hash is the one of the Durable Task Framework, so that an id keeps its partition number
    when a hub moves between the two.
    """
    if partitions == 1:
        return 0
    value = 2166136261
    for byte in instance_id.encode():
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value % partitions
