"""Actions: what an orchestrator wants done.

An action has the form of the event that records it, so that nothing is copied between deciding
and recording. The custom status is a property of the instance, and log lines belong to the turn
that wrote them: they are shown when it is committed.
"""

import logging
from typing import TypeAlias

from msgspec import UNSET, Struct, UnsetType

from tenuto.model.errors import PayloadError
from tenuto.model.events import Decision, Ending, EventRaised, QuestionAnswered
from tenuto.model.ids import MessageId
from tenuto.model.unread import UnreadEvent

Action: TypeAlias = Decision | Ending


class TurnActions(Struct):
    """What one turn of a session produced.

    Attributes:
        actions: In the order decided; an Ending, if any, stands last.
        custom_status: JSON text, None to clear it, UNSET when the turn did not touch it.
        logs: Records to hand to their loggers once the turn is committed.
        put_aside: The events and answers that ``EventRefused`` tells of, by the message id in it.
        unread: The events that ``ContinueAsNew`` names as unread.
        refused: Offered events that do not fit what waits for them, and why, by their place among
            those that were fed: they have changed nothing.
    """

    actions: list[Action]
    custom_status: str | UnsetType | None = UNSET
    logs: list[logging.LogRecord] | None = None
    put_aside: dict[MessageId, EventRaised | QuestionAnswered] | None = None
    unread: list[UnreadEvent] | None = None
    refused: dict[int, PayloadError] | None = None
