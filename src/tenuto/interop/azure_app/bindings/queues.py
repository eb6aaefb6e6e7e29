"""Outputs into queues: those of Azure Storage, and Tenuto's own."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec

from tenuto.interop.azure_app.bindings.ports import BindingError, CallData, Publish
from tenuto.interop.azure_app.bindings.values import checked_name, json_text_of, raw
from tenuto.interop.azure_services.connections import Accounts, with_place
from tenuto.interop.azure_services.messages import NoMessageError, written
from tenuto.interop.workers.protocol import Datum
from tenuto.model.ids import new_message_id
from tenuto.model.limits import check_payload
from tenuto.model.timing import Microseconds
from tenuto.model.topics import QueuedMessage, checked_place

_OF_PACKAGE: Final = {"id", "body"}
"""How azure-functions writes its QueueMessage; only the body is sent."""


def messages_of(value: Datum, *, is_python: bool) -> list[str | bytes]:
    """The messages that a function has given: one, or those of a list."""
    if value.json is None:
        return [raw(value)]
    data = msgspec.json.decode(value.json)
    many = data if isinstance(data, list) else [data]
    return [_message(one, is_python=is_python) for one in many if one is not None]


def _message(one: Any, *, is_python: bool) -> str:  # noqa: ANN401 - any JSON
    if isinstance(one, str):
        return one
    if is_python and isinstance(one, dict) and one.keys() == _OF_PACKAGE:
        return str(one["body"])
    return json_text_of(one)


class AzureQueueSink:
    """A queue of Azure Storage, which is made when it is not there.

    Args:
        accounts: The connections.
        connection: The account's; a secret.
        name: Of the queue; may have expressions.
        encoding: ``base64`` or ``none``.
        is_python: Whether the app's package is that for Python.
    """

    def __init__(
        self, accounts: Accounts, connection: str, name: str, encoding: str, *, is_python: bool
    ) -> None:
        self._accounts = accounts
        self._connection = connection
        self._name = name
        self._encoding = encoding
        self._is_python = is_python

    async def write(self, value: Datum, data: CallData) -> None:
        """Send the messages, one after the other."""
        name = checked_name(data.fill(self._name).lower(), "a queue")
        queue = self._accounts.queue(self._connection, name)
        try:
            texts = [
                written(one, self._encoding)
                for one in messages_of(value, is_python=self._is_python)
            ]
        except NoMessageError as error:
            raise BindingError(str(error)) from None
        for text in texts:
            await with_place(partial(queue.send_message, text), queue.create_queue)


class HubQueueSink:
    """A queue of Tenuto: messages are JSON; a text that is no JSON is a JSON text.

    Args:
        publish: Makes messages durable.
        now: The host's time.
        name: Of the queue; may have expressions.
        payload_bytes: How long a message may be.
        is_python: Whether the app's package is that for Python.
    """

    def __init__(
        self,
        publish: Publish,
        now: Callable[[], Microseconds],
        name: str,
        payload_bytes: int,
        *,
        is_python: bool,
    ) -> None:
        self._publish = publish
        self._now = now
        self._name = name
        self._payload_bytes = payload_bytes
        self._is_python = is_python

    async def write(self, value: Datum, data: CallData) -> None:
        """Queue the messages, all or none."""
        name = checked_place(data.fill(self._name), "a queue")
        now = self._now()
        messages = []
        for one in messages_of(value, is_python=self._is_python):
            text = _as_json(one)
            check_payload(text, self._payload_bytes, f"a message for queue {name!r}")
            messages.append(
                QueuedMessage(
                    message_id=new_message_id(now),
                    queue=name,
                    visible_at=0,
                    queued_at=now,
                    cause=data.cause,
                    iid=0,
                    data=text,
                )
            )
        if messages:
            await self._publish([], messages)


def _as_json(message: str | bytes) -> str:
    if isinstance(message, bytes):
        try:
            message = message.decode()
        except UnicodeDecodeError:
            raise BindingError("a message of Tenuto's own queues is no bytes") from None
    try:
        msgspec.json.decode(message)
    except (msgspec.DecodeError, RecursionError):
        return json_text_of(message)
    return message
