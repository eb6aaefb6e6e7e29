"""Functions of an app that blobs of Azure Storage start: what ``@app.blob`` makes of them."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, cast

from msgspec import Struct, structs

from tenuto.engine.program import AzureBlobTrigger, Delivery
from tenuto.functions.blob import Blob
from tenuto.host.native_calls import Offer
from tenuto.host.native_triggered import NativeTriggered, native_triggered
from tenuto.interop.azure_services.blob_patterns import BlobPattern, blob_pattern
from tenuto.interop.azure_services.connections import missing_package, parts_of
from tenuto.model.errors import InputError, RegistrationError, SettingsError

_OFFER: Final = Offer(
    giver="a blob",
    info=Blob,
    has_payload=False,
    words="none, or any of `blob: Blob` and `client: Client` (`SyncClient` in a `def`), by their "
    "annotations",
)


class NativeBlobFunction(Struct, frozen=True, kw_only=True):
    """A function of this process that blobs start.

    Attributes:
        name: Its name.
        work: The function; its trigger has the connection as it was written.
    """

    name: str
    work: NativeTriggered

    def __repr__(self) -> str:
        return f"NativeBlobFunction(name={self.name!r})"

    @property
    def trigger(self) -> AzureBlobTrigger:
        """What starts it, with the connection as it is set now.

        Raises:
            RegistrationError: it is not set, no connection string, or a package is missing.
        """
        package = missing_package()
        if package is not None:
            raise RegistrationError(
                f'function {self.name!r} needs the package {package!r}: pip install "tenuto[azure]"'
            )
        written = self.work.trigger
        assert isinstance(written, AzureBlobTrigger)
        text = written.connection
        if "=" not in text:
            text = os.environ.get(text, "")
            if not text:
                raise RegistrationError(
                    f"function {self.name!r} is started by blobs of the account that the variable "
                    f"{written.connection!r} names, and there is no such variable; set it to a "
                    "connection string, such as UseDevelopmentStorage=true for Azurite"
                )
        try:
            parts_of(text)
        except SettingsError as error:
            raise RegistrationError(f"connection of function {self.name!r}: {error}") from None
        return structs.replace(written, connection=text)

    async def run(self, delivery: Delivery) -> None:
        """Call the function; what it raises is raised."""
        await self.work.run(delivery)


def native_blob_function(
    function: Callable[..., Any],
    name: str,
    *,
    path: str,
    connection: str,
    options: Mapping[str, Any],
) -> NativeBlobFunction:
    """What a decorated function becomes.

    Raises:
        InputError: the path is none, or a parameter cannot be filled.
    """
    if not connection:
        raise InputError("connection is empty; name the variable that holds it")
    pattern = blob_pattern(path)
    whose = {"receipts": function.__module__}
    trigger = AzureBlobTrigger(path=path, connection=connection, options={**whose, **options})
    work = native_triggered(function, name, trigger, _OFFER, partial(_told, pattern))
    return NativeBlobFunction(name=name, work=work)


def _told(pattern: BlobPattern, delivery: Delivery) -> Blob:
    facts: Mapping[str, Any] = delivery.facts
    properties = cast("Mapping[str, Any]", facts["Properties"])
    container, _, name = str(facts["BlobTrigger"]).partition("/")
    fields = pattern.fields_of(name)
    assert isinstance(delivery.data, bytes)
    assert fields is not None, "it was found by the same pattern"
    return Blob(
        container=container,
        name=name,
        data=delivery.data,
        fields=fields,
        etag=str(properties["ETag"]).strip('"'),
        url=str(facts["Uri"]),
        content_type=properties.get("ContentType"),
        metadata=facts["Metadata"],
        attempt=delivery.attempt,
    )
