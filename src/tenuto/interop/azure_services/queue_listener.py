"""Messages of a queue of Azure Storage start a function, as in Azure Functions.

A message is invisible for others while its function runs, and deleted when that has succeeded. One
that fails is visible again after ``visibilityTimeout``; after ``maxDequeueCount`` attempts it goes
into the queue ``<name>-poison``. The service counts the attempts, so that a host that dies counts.
"""

import asyncio
from typing import Any, Final

import msgspec

from tenuto.engine.program import AzureQueueTrigger, Delivery, TriggeredFunction
from tenuto.interop.azure_services.connections import reason, with_place
from tenuto.interop.azure_services.messages import (
    POISON,
    NoMessageError,
    QueueOptions,
    facts_of,
    read,
)
from tenuto.interop.azure_services.polling import Polling
from tenuto.messaging.listening import ListenerMeans, attempt_of
from tenuto.model.timing import MICROSECONDS

_INVISIBLE_SECONDS: Final = 120
"""While a function runs nobody else gets its message. A host that dies is found out so late."""
_RENEWED: Final = _INVISIBLE_SECONDS * MICROSECONDS // 4


class AzureQueueListener:
    """Brings the messages of one queue to one function.

    Args:
        function: The function.
        means: The host.
    """

    def __init__(self, function: TriggeredFunction, means: ListenerMeans) -> None:
        trigger = function.trigger
        assert isinstance(trigger, AzureQueueTrigger)
        self.place: str = function.name
        self._function = function
        self._means = means
        self._trigger = trigger
        self._options = msgspec.convert(trigger.options, QueueOptions)
        longest = self._options.max_polling_interval
        what = f"queue {trigger.queue!r} of Azure Storage"
        self._polling = Polling(function.name, what, means, longest, self._look)

    def take_up(self) -> None:
        """Begin to look into the queue, if that is ours now."""
        self._polling.take_up()

    async def stop(self, seconds: float) -> None:
        """Fetch no more; what still runs after this long is visible again soon."""
        await self._polling.stop(seconds)

    async def abandon(self) -> None:
        """Go as a process goes that dies."""
        await self._polling.abandon()

    async def _look(self) -> bool:
        from azure.core.exceptions import ResourceNotFoundError  # noqa: PLC0415 - an extra

        options, tasks = self._options, self._polling.tasks
        while len(tasks) > options.threshold:
            await self._polling.wait()
            if not self._polling.is_ours:
                return False
        most = options.batch_size
        queue = self._polling.accounts.queue(self._trigger.connection, self._trigger.queue)
        fetched = queue.receive_messages(
            messages_per_page=most, max_messages=most, visibility_timeout=_INVISIBLE_SECONDS
        )
        found = 0
        try:
            async for message in fetched:
                found += 1
                self._polling.begin(self._work(queue, message))
        except ResourceNotFoundError:  # nobody has made the queue yet
            return False
        return found > 0

    async def _work(self, queue: Any, message: Any) -> None:  # noqa: ANN401 - of Azure
        try:
            await self._deliver(queue, message)
        except Exception as error:  # noqa: BLE001 - of the service, the network: others go on
            self._means.observer.problem(
                None,
                f"message {message.id} of queue {self._trigger.queue!r} comes again: what became "
                f"of it could not be noted: {reason(error)}",
            )

    async def _deliver(self, queue: Any, message: Any) -> None:  # noqa: ANN401 - of Azure
        most = self._options.max_dequeue_count
        if message.dequeue_count > most:  # its host died in the last attempt
            await self._put_aside(queue, message, NoMessageError("its last attempt never ended"))
            return
        renewal = asyncio.Lock()
        keeping = self._keep(queue, message, renewal)
        renewing = self._means.begin(keeping, f"{self._function.name}-renewal")
        try:
            failure = await self._attempt(message, is_last=message.dequeue_count == most)
        finally:
            async with renewal:  # one that has begun changes what the message is deleted by
                renewing.cancel()
            await asyncio.wait([renewing])
        if failure is None:
            await queue.delete_message(message)
        elif message.dequeue_count >= most:
            await self._put_aside(queue, message, failure)
        else:
            pause = self._options.visibility_timeout // MICROSECONDS
            await queue.update_message(message, visibility_timeout=pause)
            which = attempt_of(message.dequeue_count, most)
            self._means.tell_again(
                self._function, str(message.id), failure, pause * MICROSECONDS, which
            )

    async def _attempt(self, message: Any, *, is_last: bool) -> BaseException | None:  # noqa: ANN401 - of Azure
        try:
            data = read(message.content, self._options.encoding)
        except NoMessageError as error:
            self._means.observer.delivery_ended(self._function.name, error, is_last=is_last)
            return error
        delivery = Delivery(
            id=str(message.id),
            attempt=message.dequeue_count,
            last_attempt=is_last,
            data=data,
            facts=facts_of(message),
        )
        # The service has counted this attempt; while the store is away it goes on.
        return await self._means.attempt_with_store(self._function, delivery)

    async def _keep(self, queue: Any, message: Any, renewal: asyncio.Lock) -> None:  # noqa: ANN401 - of Azure
        """Keep a message invisible while its function runs; holds the lock while it asks for it."""
        from azure.core.exceptions import AzureError  # noqa: PLC0415 - an extra

        while True:
            await self._means.pause(_RENEWED)
            async with renewal:
                try:
                    kept = await queue.update_message(
                        message, visibility_timeout=_INVISIBLE_SECONDS
                    )
                except AzureError as error:
                    self._means.observer.problem(
                        None,
                        f"message {message.id} of queue {self._trigger.queue!r} may be run twice "
                        f"at once: it could not be kept from others: {reason(error)}",
                    )
                else:
                    message.pop_receipt = kept.pop_receipt

    async def _put_aside(self, queue: Any, message: Any, failure: BaseException) -> None:  # noqa: ANN401 - of Azure
        """Into the poison queue, then out of this one: a host that dies between has it twice."""
        name = self._trigger.queue + POISON
        poison = self._polling.accounts.queue(self._trigger.connection, name)
        await with_place(lambda: poison.send_message(message.content), poison.create_queue)
        await queue.delete_message(message)
        self._means.observer.delivery_failed(self._function.name, str(message.id), failure)
