"""Blobs of Azure Storage start a function when they are new or have changed.

The container is looked through again and again. For each content of a blob, by its ETag, the
function runs until it has succeeded or its attempts are used up; then a message goes into the queue
``webjobs-blobtrigger-poison``, as in the original.
"""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec
from msgspec import Struct

from tenuto.engine.program import AzureBlobTrigger, Delivery, Redelivery, TriggeredFunction
from tenuto.interop.azure_services.blob_patterns import blob_pattern
from tenuto.interop.azure_services.blobs import (
    UnfitBlobError,
    check_place,
    content_of,
    properties_of,
)
from tenuto.interop.azure_services.connections import reason, with_place
from tenuto.interop.azure_services.messages import BASE64, POISON, written
from tenuto.interop.azure_services.polling import Polling
from tenuto.interop.azure_services.receipts import CONTAINER, Receipt, Receipts
from tenuto.messaging.listening import ListenerMeans, attempt_of
from tenuto.model.timing import MICROSECONDS, Microseconds

_LONGEST_NAME: Final = 200
_LONGEST_PAUSE: Final = 10 * MICROSECONDS
_UNREAD_PAUSE: Final = MICROSECONDS
"""Before a blob is looked for again that could not be read."""
_QUEUE: Final = "webjobs-blobtrigger" + POISON


class BlobTriggerOptions(Struct, frozen=True, kw_only=True):
    """How blobs are worked on.

    Attributes:
        receipts: Under this name, and the function's, it is kept which blobs were run.
        concurrency: How many run at once.
        attempts: Attempts before a blob is noted as poison.
        first_pause: Before the second attempt.
        backoff: Each pause is the one before times this.
        longest_pause: No pause is longer.
    """

    receipts: str
    concurrency: int = 8
    attempts: int = 5
    first_pause: Microseconds = MICROSECONDS
    backoff: float = 2.0
    longest_pause: Microseconds = 300 * MICROSECONDS


class AzureBlobListener:
    """Brings the blobs of one container to one function.

    Args:
        function: The function.
        means: The host.
    """

    def __init__(self, function: TriggeredFunction, means: ListenerMeans) -> None:
        trigger = function.trigger
        assert isinstance(trigger, AzureBlobTrigger)
        self.place: str = function.name
        self._function = function
        self._means = means
        self._connection = trigger.connection
        self._pattern = blob_pattern(trigger.path)
        self._options = msgspec.convert(trigger.options, BlobTriggerOptions)
        options = self._options
        self._redelivery = Redelivery(
            attempts=options.attempts,
            first_pause=options.first_pause,
            backoff=options.backoff,
            longest_pause=options.longest_pause,
        )
        self._receipts: Receipts | None = None
        self._working: set[str] = set()
        self._is_dying = False
        what = f"container {self._pattern.container!r} of Azure Storage"
        self._polling = Polling(function.name, what, means, _LONGEST_PAUSE, self._look)

    def take_up(self) -> None:
        """Begin to look, if that is ours now."""
        if self._polling.take_up():
            self._receipts = None  # another host may have written some

    async def stop(self, seconds: float) -> None:
        """Begin nothing more; what still runs after this long is run again, as the same attempt."""
        await self._polling.stop(seconds)

    async def abandon(self) -> None:
        """Go as a process goes that dies."""
        self._is_dying = True
        await self._polling.abandon()

    async def _look(self) -> bool:
        from azure.core.exceptions import ResourceNotFoundError  # noqa: PLC0415 - an extra

        receipts = self._receipts or await self._loaded()
        container = self._container
        seen, found = set(), False
        try:
            async for blob in container.list_blobs(self._pattern.prefix or None):
                name, etag = str(blob.name), _bare(blob.etag)
                fields = self._pattern.fields_of(name)
                if fields is None:
                    continue
                seen.add(name)
                known = receipts.of(name)
                is_over = known is not None and known.is_over and known.etag == etag
                if is_over or name in self._working:
                    continue
                if not await self._room():
                    return found
                found = True
                self._working.add(name)
                self._polling.begin(self._work(receipts, name, etag, fields))
        except ResourceNotFoundError:  # nobody has made the container yet
            return False
        await receipts.keep_only(seen | self._working)
        return found

    async def _room(self) -> bool:
        """Wait until one more may run; False when this host looks no more."""
        while len(self._polling.tasks) >= self._options.concurrency:
            await self._polling.wait()
            if not self._polling.is_ours:
                return False
        return True

    @property
    def _container(self) -> Any:  # noqa: ANN401 - of Azure
        return self._polling.accounts.container(self._connection, self._pattern.container)

    async def _loaded(self) -> Receipts:
        receipts = Receipts(
            self._polling.accounts.container(self._connection, CONTAINER),
            f"{self._options.receipts}/{self._function.name}",
            self._pattern.container,
        )
        await receipts.load()
        self._receipts = receipts
        return receipts

    async def _work(
        self, receipts: Receipts, name: str, etag: str, fields: Mapping[str, str]
    ) -> None:
        from azure.core.exceptions import (  # noqa: PLC0415 - an extra
            ResourceModifiedError,
            ResourceNotFoundError,
        )

        try:
            await self._deliver(receipts, name, etag, fields)
        except (ResourceModifiedError, ResourceNotFoundError):
            return  # it has changed or is gone: the next look sees that
        except Exception as error:  # noqa: BLE001 - of the service, the network: others go on
            self._means.observer.problem(
                None,
                f"blob {self._pattern.container}/{name} is tried again: {reason(error)}",
            )
            await self._means.pause(_UNREAD_PAUSE)
        finally:
            self._working.discard(name)

    async def _deliver(
        self, receipts: Receipts, name: str, etag: str, fields: Mapping[str, str]
    ) -> None:
        known = receipts.of(name)
        begun = known.attempts if known is not None and known.etag == etag else 0
        failure: BaseException | None = RuntimeError("its last attempt never ended")
        attempt = begun + 1
        while attempt <= self._options.attempts:
            # What cannot be read is no attempt: only what may end the host is counted before it.
            read = await self._read(name, etag, fields, attempt)
            await receipts.note(name, Receipt(etag, attempt, is_over=False))
            failure = await self._attempt(receipts, name, etag, read)
            pause = self._redelivery.pause_before(attempt + 1)
            if failure is None or pause is None:
                break
            which = attempt_of(attempt, self._options.attempts)
            self._means.tell_again(self._function, name, failure, pause, which)
            attempt += 1
            await self._means.pause(pause)
        if failure is not None:
            await self._put_aside(name, etag, failure)
        await receipts.note(name, Receipt(etag, attempt, is_over=True))

    async def _attempt(
        self, receipts: Receipts, name: str, etag: str, read: Delivery | UnfitBlobError
    ) -> BaseException | None:
        from azure.core.exceptions import AzureError  # noqa: PLC0415 - an extra

        if isinstance(read, UnfitBlobError):
            return read
        try:
            return await self._means.attempt_with_store(self._function, read)
        except BaseException:  # given up by a host that stops, which is no fault of the blob
            if not self._is_dying:
                with suppress(AzureError):  # then it counts
                    await receipts.note(name, Receipt(etag, read.attempt - 1, is_over=False))
            raise

    async def _read(
        self, name: str, etag: str, fields: Mapping[str, str], attempt: int
    ) -> Delivery | UnfitBlobError:
        """What the function is run for; an error when nobody may have it.

        Raises:
            AzureError: it cannot be read now.
        """
        from azure.core import MatchConditions  # noqa: PLC0415 - an extra

        client = self._container.get_blob_client(name)
        try:
            check_place(name)
            # In quotes, as it is on the wire.
            found = await client.download_blob(
                etag=f'"{etag}"', match_condition=MatchConditions.IfNotModified
            )
            content = await content_of(found)
        except UnfitBlobError as error:
            is_last = attempt >= self._options.attempts
            self._means.observer.delivery_ended(self._function.name, error, is_last=is_last)
            return error
        place = f"{self._pattern.container}/{name}"
        return Delivery(
            id=_delivery_id(place, etag),
            attempt=attempt,
            last_attempt=attempt >= self._options.attempts,
            data=content,
            facts={
                "BlobTrigger": place,
                "Uri": str(client.url).partition("?")[0],
                "Properties": properties_of(found.properties),
                "Metadata": dict(found.properties.metadata or {}),
                **fields,
            },
        )

    async def _put_aside(self, name: str, etag: str, failure: BaseException) -> None:
        """Say it in the poison queue; the blob stays where it is."""
        said = {
            "FunctionId": f"Host.Functions.{self._function.name}",
            "BlobType": "BlockBlob",
            "ContainerName": self._pattern.container,
            "BlobName": name,
            "ETag": f'"{etag}"',
        }
        poison = self._polling.accounts.queue(self._connection, _QUEUE)
        text = written(msgspec.json.encode(said), BASE64)
        await with_place(lambda: poison.send_message(text), poison.create_queue)
        place = f"{self._pattern.container}/{name}"
        self._means.observer.delivery_failed(self._function.name, place, failure)


def _delivery_id(place: str, etag: str) -> str:
    """The same for each attempt with a content of a blob; short enough to be an id elsewhere."""
    if len(place) > _LONGEST_NAME or not place.isprintable():
        place = hashlib.sha256(place.encode()).hexdigest()
    return f"{place}/{etag}"


def _bare(etag: object) -> str:
    return str(etag).strip('"')
