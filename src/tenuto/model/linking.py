"""What two linked hubs tell each other, and what one knows of the other. Pure data.

A link has two directions, each with numbers of its own. A number is given out by the sending store
and never again; numbers only grow, with gaps. The receiver keeps the last number whose message it
has (its *place*) and writes it in the transaction that takes the messages in, so a message counts
once however often it comes. Numbers belong to a *life* of the sending store: a store that begins
anew, or a copy that was started, is another one. A file that was copied by other means has the life
of the original, and gives out its numbers again: so the receiver tells with its place the *mark* of
the message of that number, and the sender knows by it whether that is its own.
"""

import re
from hashlib import sha256
from typing import Annotated, Final

from msgspec import Meta, Raw, Struct

from tenuto.model.ids import InstanceId, MessageId
from tenuto.model.timing import Microseconds

MESSAGE: Final = "message"
"""The kind of an envelope that holds a message to an instance."""
PUBLISH: Final = "publish"
"""The kind of one that holds an event for a topic."""

MOST_MESSAGES: Final = 100_000
"""As many wait for one hub, if nobody says otherwise."""
MOST_BYTES: Final = 256 * 1024 * 1024
"""As long may they be together, if nobody says otherwise."""


_LIFE: Final = re.compile("[0-9a-f]{1,64}")
_MARK_DIGITS: Final = 32


def is_life(text: str) -> bool:
    """Whether a text may name the life of a store, or be a mark: up to 64 hexadecimal digits."""
    return _LIFE.fullmatch(text) is not None


def mark_of(to: str, message: Raw) -> str:
    """What both ends know a message by: another message has another one.

    Of all that it says, not of its id: a store that was put back may decide the same again, under
    the same id, with another outcome.

    Args:
        to: The instance, or the topic, that it is for.
        message: To the letter, as it waits and as it is sent.
    """
    return sha256(f"{to}\n".encode() + bytes(message)).hexdigest()[:_MARK_DIGITS]


class LinkedHub(Struct, frozen=True, kw_only=True, rename="camel"):
    """A link, as the store of one end knows it.

    Attributes:
        name: How addresses of the other hub begin here.
        url: Where the other hub is; None where it is the other one that dials.
        called: How the other hub calls this one.
        key: What opens the other hub; of who is dialled, the digest of the key that opens it.
        life: The life of the other store, as last heard.
        received: The last number that was taken in.
        delivered: The last number that the other hub is known to have.
        delivered_mark: The mark of that message; empty if it is not known.
        waiting: Messages that it has not yet.
        waiting_bytes: How long they are.
        most_messages: As many may wait, by the settings of the host that runs, or ran.
        most_bytes: As long may they be together, by the same.
        held_bytes: How much is here of a message of it that has not come as a whole.
        heard_at: When it was last heard of, in microseconds since 1970 UTC.
        problem: Why nothing goes over it now, as far as that is known.
    """

    name: str
    url: str | None = None
    called: str = ""
    key: str = ""
    life: str = ""
    received: int = 0
    delivered: int = 0
    delivered_mark: str = ""
    waiting: int = 0
    waiting_bytes: int = 0
    most_messages: int = MOST_MESSAGES
    most_bytes: int = MOST_BYTES
    held_bytes: int = 0
    heard_at: Microseconds | None = None
    problem: str | None = None

    def __repr__(self) -> str:
        return f"LinkedHub(name={self.name!r}, url={self.url!r})"


class Outgoing(Struct, frozen=True, array_like=True):
    """A message that waits for another hub.

    Attributes:
        sequence: Its number.
        message_id: Its id in this hub.
        instance_id: Whom it is for, there: an instance, or a topic.
        message: The JSON form of a ``tenuto.model.messages.AnyMessage``.
    """

    sequence: int
    message_id: MessageId
    instance_id: InstanceId
    message: Raw


class Envelope(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a number stands for.

    Attributes:
        kind: What it holds; a receiver refuses kinds that it does not know.
        to: The instance, or the topic, that it is for.
        message: The message; of an event for a topic a ``tenuto.model.messages.Publish``.
    """

    kind: str
    to: InstanceId
    message: Raw


Number = Annotated[int, Meta(ge=0, lt=2**62)]
"""Of a message, or of characters."""


Mark = Annotated[str, Meta(pattern="^[0-9a-f]{0,64}$")]
"""Of a message; empty if none is told."""


class Frame(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An envelope, or a piece of one that is too long for the line.

    Attributes:
        sequence: The number of the message.
        text: The piece: a part of the envelope's JSON text.
        at: Where the piece begins, in characters.
        of: How long the envelope is, in characters.
    """

    sequence: Number
    text: str
    at: Number = 0
    of: Number


class Refusal(Struct, frozen=True, kw_only=True, rename="camel"):
    """A message that the receiver does not take, whatever happens.

    Attributes:
        sequence: Its number.
        reason: Why.
    """

    sequence: Number
    reason: str


class Parcel(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Messages in their order, of one direction.

    Attributes:
        life: Of the sending store.
        after: The last number that the receiver was known to have.
        frames: The messages.
        refused: What the sender of this has refused of what came to it.
    """

    life: str
    after: Number = 0
    frames: list[Frame] = []
    refused: Refusal | None = None


class Place(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How far the receiver of one direction has come.

    Attributes:
        received: The last number that it has.
        mark: Of the message of that number; empty if it is not known, or not told.
        piece_of: The number of which it has a part.
        held: How many characters of that.
        refused: The next number, which it does not take.
    """

    received: Number
    mark: Mark = ""
    piece_of: Number = 0
    held: Number = 0
    refused: Refusal | None = None
