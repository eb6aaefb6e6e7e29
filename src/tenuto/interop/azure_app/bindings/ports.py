"""What a function is bound to: where inputs come from, and where outputs go."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeAlias

from msgspec import Struct

from tenuto.interop.azure_app.bindings.expressions import Fit, filled
from tenuto.interop.workers.protocol import Datum
from tenuto.model.topics import PublishedEvent, QueuedMessage

Publish: TypeAlias = Callable[[Sequence[PublishedEvent], Sequence[QueuedMessage]], Awaitable[None]]
"""Makes events and messages of this hub durable."""


class BindingError(Exception):
    """An input cannot be had, or an output not be written; says why."""


class CallData(Struct, frozen=True, kw_only=True):
    """What is known of a call, for expressions.

    Attributes:
        values: By name.
        now: When.
        cause: What messages of it are caused by; None when nobody knows.
    """

    values: Mapping[str, object]
    now: datetime
    cause: str | None = None

    def fill(self, text: str, fit: Fit | None = None) -> str:
        """A text with what is known in the places of its expressions.

        Args:
            text: The text.
            fit: Makes each value fit for its place.

        Raises:
            ExpressionError: something is not known.
        """
        return filled(text, self.values, self.now, fit)


class Source(Protocol):
    """Where an input comes from."""

    async def read(self, data: CallData) -> Datum | None:
        """The value; None when there is none.

        Raises:
            BindingError, ExpressionError: it cannot be had.
            AzureError: what the packages of Azure raise.
        """


class Sink(Protocol):
    """Where an output goes."""

    async def write(self, value: Datum, data: CallData) -> None:
        """Put it there; returns when it is durable.

        Raises:
            BindingError, ExpressionError: it cannot be put there.
            AzureError: what the packages of Azure raise.
        """
