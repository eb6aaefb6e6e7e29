"""What a function of an app is given: the value of its trigger, and its durable clients."""

from collections.abc import Callable

from tenuto.interop.azure_app.bindings.binder import Binder, BoundFunction
from tenuto.interop.azure_app.functions import clients_of
from tenuto.interop.workers.protocol import Datum, FunctionFacts
from tenuto.model.errors import TenutoError


class NoServerError(TenutoError):
    """A function wants a durable client, and its host has no server that this could reach."""

    def __init__(self) -> None:
        super().__init__(
            "it has a durable client, which reaches its host over HTTP: run the app with a "
            "server (`tenuto start`)"
        )


class Inputs:
    """Makes the inputs of calls, whatever triggers them.

    Args:
        client_binding: What durable clients of the app are given; None without a server.
        binder: Its bindings to queues, blobs and tables; None for none.
    """

    def __init__(
        self, client_binding: Callable[[], str | None], binder: Binder | None = None
    ) -> None:
        self._client_binding = client_binding
        self._binder = binder

    def bound(self, function: FunctionFacts) -> BoundFunction | None:
        """A function with inputs or outputs in queues, blobs or tables; None for others."""
        return None if self._binder is None else self._binder.of(function)

    async def close(self) -> None:
        """Close the connections of its bindings."""
        if self._binder is not None:
            await self._binder.close()

    def of(self, function: FunctionFacts, given: Datum | None) -> dict[str, Datum | None]:
        """The inputs of a call, by the names of the function's bindings.

        Args:
            function: The function.
            given: The value of its trigger.

        Raises:
            NoServerError: it has a durable client, and there is no server.
        """
        inputs: dict[str, Datum | None] = {str(function.trigger["name"]): given}
        for name in clients_of(function):
            binding = self._client_binding()
            if binding is None:
                raise NoServerError
            inputs[name] = Datum(string=binding)
        return inputs
