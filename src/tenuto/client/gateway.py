"""Where a client's requests go: into the engine of this process, or through the store."""

import asyncio
import time
from contextlib import suppress
from typing import Protocol

from msgspec import Raw, structs

from tenuto.client.remote_errors import error_of
from tenuto.client.wire import ErrorBody
from tenuto.engine.commands import Commands
from tenuto.engine.ports import InboxRow, Storage, StorageReader
from tenuto.engine.turns.sorting import still_going
from tenuto.model.codec import encode
from tenuto.model.control import CONTROL_OF, Control
from tenuto.model.errors import (
    InstanceExistsError,
    InstanceFinishedError,
    InstanceNotFoundError,
    InstanceStateError,
)
from tenuto.model.facts import pending_row, started
from tenuto.model.ids import (
    InstanceId,
    MessageId,
    derived_from,
    new_message_id,
    partition_of,
    reserved_id,
)
from tenuto.model.messages import ClientMessage, Message, Purge, RedeemWebhook, Start
from tenuto.model.requests import DeadLetter, InstancePage, InstanceQuery, StartRequest
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.model.timing import Microseconds

_POLL_SECONDS = 0.05
_FIRST_PAUSE_SECONDS = 0.002
_OWNER_SECONDS = 30.0
_MOST_TRIES = 10
_STEERING = ("Suspend", "Resume")
_ENDING = ("Terminate", "Fail")


class Gateway(Protocol):
    """What a client asks for, in JSON text and rows."""

    def now(self) -> Microseconds:
        """The present, in microseconds since 1970: the ids that a client makes begin with it."""

    async def start(self, request: StartRequest) -> None:
        """Start an instance; returns when it is durable."""

    async def tell(self, instance_id: InstanceId, message: ClientMessage) -> None:
        """Tell an instance something: an event, a word of control, that it is to be deleted."""

    async def wait(self, instance_id: InstanceId, *, started: bool = False) -> InstanceRecord:
        """The row once the instance has ended, or with ``started`` has begun."""

    async def get(self, instance_id: InstanceId) -> InstanceRecord | None:
        """The row."""

    async def query(self, query: InstanceQuery) -> InstancePage:
        """A page of rows."""

    async def history(self, instance_id: InstanceId, most_bytes: int | None = None) -> list[bytes]:
        """The turns of the current execution, as JSON arrays."""

    async def close(self) -> None:
        """Let go of what belongs to the client alone."""

    async def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """The newest messages that nobody could take."""


class EngineGateway:
    """Into the engine of this process; reads go to its store."""

    def __init__(self, commands: Commands, storage: StorageReader) -> None:
        self._storage = storage
        self.now = commands.now
        self.start = commands.start
        self.tell = commands.tell
        self.wait = commands.wait
        self.get = storage.get
        self.query = storage.query
        self.history = storage.history
        self.dead_letters = storage.dead_letters

    async def close(self) -> None:
        """Nothing: engine and store are the host's."""


class StoreGateway:
    """Through the store, from a process that owns nothing (ENGINE rule 14). Owns the connection.

    Requests are durable when a call returns; the owning host takes them in soon after. What can
    be seen to be wrong from the row is refused at once; the rest the owner decides.

    Attributes:
        storage: The store, open.
    """

    def __init__(self, storage: Storage, partitions: int) -> None:
        self.storage = storage
        self._partitions = partitions
        self.now = present
        self.get = storage.get
        self.query = storage.query
        self.history = storage.history
        self.dead_letters = storage.dead_letters

    async def start(self, request: StartRequest) -> None:
        """Insert a pending instance; one that must give way to it is left to the owner.

        Raises:
            InstanceExistsError: the id is taken.
            InvalidInstanceIdError: it is free, and one that a sub-orchestration may yet get.
            InstanceStateError: another instance must give way first, and no host answers.
        """
        facts = request.facts
        partition = partition_of(facts.instance_id, self._partitions)
        now = present()  # for people; no decision hangs on it
        record = pending_row(facts, partition=partition, created_at=now)
        event = started(facts, "")
        if derived_from(facts.instance_id) and await self.get(facts.instance_id) is None:
            raise reserved_id(facts.instance_id)
        for _ in range(_MOST_TRIES):
            standing = await self.storage.start_instance(record)
            if standing.execution_id == facts.execution_id:
                return
            if standing.status not in request.reuse:
                raise _taken(standing)
            # When it is purged meanwhile, so is our request, and the id is free.
            with suppress(InstanceNotFoundError):
                await self._ask(
                    facts.instance_id,
                    Start(event=event, reuse=request.reuse),
                    "was not replaced",
                )
                return
        raise InstanceStateError(
            facts.instance_id, "was started and purged by others each time; try again"
        )

    async def tell(self, instance_id: InstanceId, message: ClientMessage) -> None:
        """Append the message; where its effect must be known, wait for the owner's answer.

        Raises:
            InstanceNotFoundError, InstanceFinishedError: nobody can take it.
            InstanceStateError: it does not fit the state of the instance, or no host answers.
        """
        if isinstance(message, Purge):
            await self._purge(instance_id, message)
        elif isinstance(message, RedeemWebhook):
            await self._ask(instance_id, message, "was not told that its webhook is used")
        else:
            control = CONTROL_OF.get(type(message))
            if control is None:
                await self._unfinished(instance_id)
            else:
                await self._refuse_when(instance_id, control)
            await self._append(instance_id, message, new_message_id(self.now()))

    async def _purge(self, instance_id: InstanceId, message: Purge) -> None:
        is_ending = await self.storage.is_asked(instance_id, _ENDING)
        record = await self.storage.get(instance_id)
        if record is None:
            raise InstanceNotFoundError(instance_id)
        if not (record.status.is_finished or is_ending or message.force):
            raise still_going(instance_id)
        await self._ask(instance_id, message, "was not purged")

    async def wait(self, instance_id: InstanceId, *, started: bool = False) -> InstanceRecord:
        """Look until the instance has ended or begun."""
        while True:
            record = await self.storage.get(instance_id)
            if record is None:
                raise InstanceNotFoundError(instance_id)
            if has_come(record, started=started):
                return record
            await asyncio.sleep(_POLL_SECONDS)

    async def close(self) -> None:
        """Close the connection."""
        await self.storage.close()

    async def _unfinished(self, instance_id: InstanceId) -> InstanceRecord:
        record = await self.storage.get(instance_id)
        if record is None:
            raise InstanceNotFoundError(instance_id)
        if record.status.is_finished:
            raise InstanceFinishedError(instance_id, f"has already ended ({record.status.label})")
        return record

    async def _refuse_when(self, instance_id: InstanceId, control: Control) -> None:
        """Refuse a word that does not fit the state of an instance.

        Earlier ones may be on their way: then the row does not tell what it will be.
        """
        record = await self._unfinished(instance_id)
        if not control.cannot(record) or await self.storage.is_asked(instance_id, _STEERING):
            return
        record = await self._unfinished(instance_id)  # they may have been carried out just now
        if control.cannot(record):
            raise InstanceStateError(
                instance_id, f"is {record.status.label}, so it cannot {control.name}"
            )

    async def _ask(self, instance_id: InstanceId, message: Message, undone: str) -> None:
        """Append a request and wait for the owner's answer to it.

        Not for a state of the instance: another request may have changed that again already.

        Raises:
            TenutoError: why the owner refuses; InstanceStateError: none has answered.
        """
        key = new_message_id(self.now())
        await self._append(instance_id, structs.replace(message, awaits_answer=True), key)
        began = time.monotonic()
        pause = _FIRST_PAUSE_SECONDS
        while time.monotonic() - began < _OWNER_SECONDS:
            answer = await self.storage.answer(key)
            if answer is not None and answer.code is not None:
                body = ErrorBody(answer.code, answer.text)
                raise error_of(body, instance_id=instance_id)
            if answer is not None:
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _POLL_SECONDS)
        if await self.storage.is_waiting(key):
            reason = (
                f"{undone} within {_OWNER_SECONDS:.0f} s: no host has taken the request in. It "
                "stays in the store and is carried out when a host runs on it"
            )
        else:
            reason = (
                f"was asked, and a host has taken the request in, but has not answered within "
                f"{_OWNER_SECONDS:.0f} s; look at the instance and at the host's log"
            )
        raise InstanceStateError(instance_id, reason)

    async def _append(self, instance_id: InstanceId, message: Message, key: MessageId) -> None:
        partition = partition_of(instance_id, self._partitions)
        named = structs.replace(message, message_id=key)
        row = InboxRow(key, partition, instance_id, Raw(encode(named)))
        await self.storage.append([row])


def has_come(record: InstanceRecord, *, started: bool) -> bool:
    """Whether what is waited for has come: the beginning of an instance, or its end."""
    status = record.status
    return status is not RuntimeStatus.PENDING if started else status.is_finished


def _taken(record: InstanceRecord) -> InstanceExistsError:
    return InstanceExistsError(record.instance_id, f"already exists ({record.status.label})")


def present() -> Microseconds:
    """The machine's clock, for a client that has no host's; no decision hangs on it."""
    return time.time_ns() // 1000
