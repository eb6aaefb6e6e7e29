"""The port for looking back: what a runner offers that can lead code along a history once more.

For people who want to see what an orchestrator knew after some turn. Such a session is thrown away
afterwards: nothing of what it decides is carried out, logged or stored, and the live session of
the instance is never touched.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from msgspec import UnsetType

from tenuto.model.code_frames import CodePlaces
from tenuto.model.events import HistoryEvent
from tenuto.model.execution import ExecutionInfo


class PastSession(Protocol):
    """A session that is led along recorded turns, to be looked into between them."""

    @property
    def is_over(self) -> bool:
        """Whether its code has come to its end."""

    def take(self, turn: Sequence[HistoryEvent], number: int) -> str | UnsetType | None:
        """Go through its next recorded turn. Not to be called inside a task (ENGINE rule 3).

        Args:
            turn: The turn.
            number: Which one of the history it is, from 0.

        Returns:
            The custom status that the code sets in it, as JSON text; None when it clears it, UNSET
            when it leaves it as it is.

        Raises:
            NonDeterminismError: the code decides otherwise than history recorded.
            GuardError: it does so because it now does something that cannot be replayed.
            PayloadMisfitError: what is stored does not fit the types of the code.
        """

    def places(self) -> CodePlaces:
        """Where its code waits now, with what its variables hold. Runs nothing of users."""

    def awaited(self) -> Mapping[int, Mapping[str, Any] | None]:
        """The JSON schema of what each open wait for an event asks for, by its event id; None where
        it takes anything, or its type has no schema.
        """

    def close(self) -> int:
        """Throw it away; the number of coroutines that refused to end (ENGINE rule 5)."""


@runtime_checkable
class LooksBack(Protocol):
    """A runner whose orchestrators can be led along a history once more."""

    def open_past(self, info: ExecutionInfo) -> PastSession | None:
        """A session that has taken no turn yet; None when its orchestrator cannot be looked into.

        Raises:
            UnknownFunctionError: no orchestrator of that name.
        """
