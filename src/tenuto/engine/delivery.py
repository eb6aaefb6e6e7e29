"""Delivery: where each durable message of a partition is, known by one table.

A message may reach its instance by several ways at once: with a page of the inbox that is read
while others come and go, after the commit that made it, with its instance when that is read. It
must be taken in once (``exactly_once_turns``), and never be forgotten (``no_silent_drop``). Its
row says only that it was there when somebody looked; where it is now is said here, by its id,
which never names another message (ENGINE rule 12). Who has made it does not matter: after a
takeover, what this host has sent to a partition of another is a message from outside::

                 its row, in the store
      a page, or │                 ▲ │ its instance is read
      our commit ▼                 │ ▼
              arriving ──────▶ here ──a turn takes it in──▶ used up ──lands──▶ gone
               │    ▲           ▲ │                          ▲ │
               │    └─────┐     │ └─its instance leaves      │ └─the batch is taken back:
               │          │     │   memory: only its row     │   everything is read anew
      a start: ▼          │     │   knows of it              │
              deciding ───┼─────┴──its instance begins       │
               │          └──(a copy goes)                   │
               └──refused, or written ahead──────────────────┤
      arriving, and nobody of that id: refused, a letter ────┘

*arriving*: somebody has it, and its instance is on its way into memory. *deciding*: it is a start,
and it is open who gets the id. *here*: in the inbox of an instance in memory, held by it, or in a
turn that has not landed. *used up*: a batch that is not known to have landed takes its row out;
the pipeline knows these, and those that have landed since somebody began to read a page, because
their rows may stand on it. *gone*: nobody knows it any more, and it has no row.

A copy goes in each of these places but the last: what is arriving or deciding must not be
overtaken, what is here or used up must not be taken in again. Each message goes from place to place
within one callback of the loop, so that no page falls between.

What a request of a client in memory asks has no row, and no place here: it is in one inbox alone.
"""

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Final

from tenuto.model.ids import MessageId
from tenuto.model.messages import AnyLetter, Message


def row_id(message: AnyLetter) -> MessageId | None:
    """The id of the row that a message has, or is to have, in the store; None when it has none."""
    key = message.message_id
    return key if isinstance(key, str) else None


class Place(Enum):
    """Where a message is that has a row."""

    ARRIVING = "arriving"
    DECIDING = "deciding"
    HERE = "here"


_ARRIVING: Final = Place.ARRIVING
_MOVING: Final = (Place.ARRIVING, Place.DECIDING)


class Delivery:
    """The durable messages of one partition that are on this host.

    Args:
        is_used_up: Whether a batch has used up a message, as the pipeline knows.
    """

    def __init__(self, is_used_up: Callable[[MessageId], bool]) -> None:
        self._is_used_up = is_used_up
        self._places: dict[MessageId, Place] = {}

    def __len__(self) -> int:
        return len(self._places)

    def place_of(self, message_id: MessageId) -> Place | None:
        """Where it is; None when it is gone, used up, or known by its row alone."""
        return self._places.get(message_id)

    def is_known(self, message_id: MessageId | None) -> bool:
        """Whether a row that was read is a copy: the message is here somewhere, or used up."""
        if message_id is None:
            return False
        return message_id in self._places or self._is_used_up(message_id)

    def is_moving(self, message_id: MessageId) -> bool:
        """Whether it is on its way to an instance, or to become one."""
        return self._places.get(message_id) in _MOVING

    # --- arriving ---------------------------------------------------------------------------------

    def sets_out(self, message_id: MessageId) -> bool:
        """A message begins its way to an instance; False for a copy, which goes."""
        if message_id in self._places:
            return False
        self._places[message_id] = _ARRIVING
        return True

    def is_arriving(self, message_id: MessageId) -> bool:
        """Whether it is still on its way: nobody has found it in the store meanwhile."""
        return self._places.get(message_id) is _ARRIVING

    def turns_away(self, message_id: MessageId | None) -> bool:
        """The end of the way, and nobody is there; False when it has found its instance."""
        if message_id is None or not self.is_arriving(message_id):
            return False
        del self._places[message_id]
        return True

    def decides(self, start: Message) -> bool:
        """It is a start, and being decided; False for a copy, which would be refused for it."""
        key = row_id(start)
        assert key is not None
        if key in self._places:
            return False
        self._places[key] = Place.DECIDING
        return True

    def has_decided(self, start: Message) -> None:
        """What became of a start is in a batch, or it waits in its row for another look."""
        key = row_id(start)
        if key is not None and self._places.get(key) is Place.DECIDING:
            del self._places[key]

    # --- here -------------------------------------------------------------------------------------

    def arrives(self, message: Message) -> bool:
        """The end of the way: into the inbox; False when its instance was read with its row."""
        key = row_id(message)
        if key is None:
            return True
        if not self.is_arriving(key):
            return False
        self._places[key] = Place.HERE
        return True

    def hands_over(self, message: Message) -> bool:
        """Into the inbox of an instance in memory, without a way; False for a copy."""
        key = row_id(message)
        if key is None:
            return True
        if key in self._places:
            return False
        self._places[key] = Place.HERE
        return True

    def found(self, messages: Iterable[Message]) -> None:
        """An instance was read with these: copies on the way come too late."""
        for message in messages:
            key = row_id(message)
            if key is not None:
                self._places[key] = Place.HERE

    def keeps(self, message_id: MessageId) -> None:
        """An instance has it, in a row that is being written."""
        self._places[message_id] = Place.HERE

    # --- leaving ----------------------------------------------------------------------------------

    def leaves(self, messages: Iterable[Message]) -> None:
        """Their instance leaves memory with them not taken in: a copy brings them back."""
        self.lands(messages)

    def lands(self, messages: Iterable[Message]) -> None:
        """A batch that has used them up is durable, or they never will be."""
        for message in messages:
            key = row_id(message)
            if key is not None:
                self._places.pop(key, None)

    def forgets(self) -> None:
        """Everything is read anew; a start that is being decided is no news even then."""
        deciding = Place.DECIDING
        self._places = {key: deciding for key, one in self._places.items() if one is deciding}
