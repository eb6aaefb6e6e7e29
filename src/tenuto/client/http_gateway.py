"""To a server over HTTP: what a client asks for, through the server's ``/admin`` routes.

Owns the connections. Sends nothing twice that could be carried out twice: a start bears the
execution id that the client chose, so the same start again is a success (ENGINE rule 14);
everything else that changes something is sent again only if it had not been sent. Must not be
imported together with its HTTP library, which takes long: that is loaded at the first request.
"""

import asyncio
import logging
import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct

from tenuto.client.connection import ConnectionOptions, checked_key, checked_url, is_loopback
from tenuto.client.gateway import check_here, has_come, present
from tenuto.client.http_messages import HttpMessages
from tenuto.client.http_topics import HttpTopics
from tenuto.client.message_bodies import CountBody
from tenuto.client.remote_errors import error_of
from tenuto.client.topics import TopicsGateway
from tenuto.client.wire import (
    ADMIN,
    CONTINUATION,
    MOST_ROWS,
    AnswerBody,
    DeadLetterBody,
    DeadLetterIdsBody,
    ErrorBody,
    EventBody,
    InstanceBody,
    PublishBody,
    PublishedBody,
    ReasonBody,
    StartBody,
    StartedBody,
    TerminateBody,
    event_to_publish,
    message_to_queue,
    raw_of,
    reuse_of,
)
from tenuto.model.control import CONTROL_OF
from tenuto.model.errors import (
    ConnectionFailedError,
    InputError,
    InstanceExistsError,
    InstanceNotFoundError,
    StorageUnavailableError,
    TenutoError,
    UnexpectedAnswerError,
)
from tenuto.model.ids import ExecutionId, InstanceId, MessageId
from tenuto.model.messages import (
    AnswerQuestion,
    ClientMessage,
    Purge,
    RaiseEvent,
    RedeemWebhook,
    Terminate,
)
from tenuto.model.requests import (
    DeadLetter,
    DeadLetterPage,
    HistoryPage,
    InstancePage,
    InstanceQuery,
    StartRequest,
)
from tenuto.model.status import InstanceRecord
from tenuto.model.timing import to_datetime
from tenuto.model.topics import PublishedEvent, QueuedMessage

if TYPE_CHECKING:
    from httpx2 import AsyncClient, Response, TransportError

T = TypeVar("T")

_LOGGER: Final = logging.getLogger("tenuto.client")
_WAIT_SECONDS: Final = 20
"""How long one request waits for an end; then it is sent again."""
_SHORT_WAIT_SECONDS: Final = 1
"""The same when more wait than there are connections for: they take turns."""
_KEEP_ALIVE_SECONDS: Final = 4.0
"""Less than servers keep idle connections, so that none is used that is just being closed."""
_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 1.0
_DOTS: Final = frozenset({".", ".."})
_IN_BETWEEN: Final = frozenset({502, 504})
"""What a proxy answers when the server behind it does not."""


class _Request(Struct, frozen=True, kw_only=True):
    """What is sent. ``is_safe``: carried out twice it does no more than once."""

    method: str
    path: str
    body: Struct | None = None
    query: dict[str, str] = {}
    instance_id: str | None = None
    name: str | None = None
    is_safe: bool = False
    wait_seconds: float = 0.0


class _HistoryMovedError(Exception):
    """An instance has continued as new between two pages of its history."""


class _Connections:
    """The connections of one event loop, and the turns of those who wait."""

    def __init__(self, client: "AsyncClient", waits: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.client = client
        self.turns = asyncio.Semaphore(waits)
        self.slots = waits
        self.waiting = 0
        self.long_waits: set[asyncio.Timeout] = set()

    @property
    def is_crowded(self) -> bool:
        """Whether more wait than there are connections for."""
        return self.waiting > self.slots

    def make_room(self) -> None:
        """End long waits soon: somebody else wants a turn."""
        soon = self.loop.time() + _SHORT_WAIT_SECONDS
        while self.long_waits:
            self.long_waits.pop().reschedule(soon)


class HttpGateway(HttpMessages):
    """A client's requests to a server.

    Args:
        url: The server's own address, such as ``http://127.0.0.1:7071``.
        key: One of the server's keys; None when it has none.
        options: How patient it is.

    Raises:
        SettingsError: URL or key cannot be one.
    """

    def __init__(
        self, url: str, key: str | None = None, options: ConnectionOptions | None = None
    ) -> None:
        self.url: str = checked_url(url)
        self._key = checked_key(key)
        self._options = options or ConnectionOptions()
        self._connections: _Connections | None = None
        self._has_answered = False
        self._is_missed = False
        self._is_closed = False
        self.now = present
        self.topics: TopicsGateway = HttpTopics(self._fetch)

    # --- the gateway -------------------------------------------------------------------------

    async def start(self, request: StartRequest) -> None:
        """Start an instance; sent again until it is known to be durable, or time is up."""
        facts = request.facts
        check_here(facts.instance_id)
        body = StartBody(
            name=facts.name,
            input=raw_of(facts.input),
            instance_id=request.instance_id,
            execution_id=facts.execution_id,
            version=facts.version,
            tags=facts.tags,
            trace=facts.trace,
            scheduled_at=facts.scheduled_at,
            reuse=reuse_of(request.reuse),
        )
        sent = _Request(
            method="POST",
            path="/instances",
            body=body,
            instance_id=request.instance_id,
            name=facts.name,
            is_safe=True,
        )
        try:
            answer = await self._ask(sent)
        except InstanceExistsError:
            if request.is_fresh:  # nobody else can have that id: it has gone on meanwhile
                return
            raise
        started = self._read(answer, StartedBody, sent)
        if started.instance_id != request.instance_id:
            raise self._strange(sent, "another instance id")

    async def publish(
        self, events: Sequence[PublishedEvent], messages: Sequence[QueuedMessage]
    ) -> None:
        """Publish and queue; events alone are sent again until they are known to be durable.

        A topic knows the ids of its events, a queue only those of messages that are not done with:
        what is sent again after a lost answer may be worked on again.
        """
        body = PublishBody(
            events=tuple(map(event_to_publish, events)),
            messages=tuple(map(message_to_queue, messages)),
        )
        sent = _Request(method="POST", path="/publish", body=body, is_safe=not messages)
        self._read(await self._ask(sent), PublishedBody, sent)

    async def tell(self, instance_id: str, message: ClientMessage) -> None:
        """Tell an instance something; sent again only if it had not been sent."""
        check_here(InstanceId(instance_id))
        match message:
            case RaiseEvent(event=event):
                raised = EventBody(name=event.name, input=raw_of(event.input))
                await self._tell(instance_id, "raise-event", raised)
            case Terminate(reason=reason, recurse=recurse):
                words = None if reason is None else msgspec.json.decode(reason, type=str)
                ended = TerminateBody(reason=words, recurse=recurse)
                await self._tell(instance_id, "terminate", ended)
            case Purge(force=force):
                query = {"force": "true"} if force else {}
                await self._command("DELETE", instance_id, "", query=query)
            case AnswerQuestion(question=question, input=text, by=by):
                answer = AnswerBody(question=question, answer=raw_of(text), by=by)
                await self._tell(instance_id, "answer", answer)
            case RedeemWebhook():
                raise InputError("a webhook is used by a request to its own address")
            case _:
                name = CONTROL_OF[type(message)].name
                await self._tell(instance_id, name, ReasonBody(reason=message.reason))

    async def get(self, instance_id: str) -> InstanceRecord | None:
        """The row."""
        try:
            return await self._row(instance_id, 0.0)
        except InstanceNotFoundError:
            return None

    async def inquire(self, instance_id: str) -> InstanceBody:
        """The row, with what the host says of why it does not go on.

        Raises:
            InstanceNotFoundError: there is no such instance.
        """
        sent = _Request(
            method="GET", path=_path(instance_id), instance_id=instance_id, is_safe=True
        )
        return self._read(await self._ask(sent), InstanceBody, sent)

    async def wait(self, instance_id: str, *, started: bool = False) -> InstanceRecord:
        """The row once the instance has ended or begun; waits through restarts of the server."""
        connections = self._open()
        connections.waiting += 1
        if connections.is_crowded:
            connections.make_room()
        try:
            while True:
                record = await self._wait_once(connections, instance_id, started=started)
                if record is not None and has_come(record, started=started):
                    return record
        finally:
            connections.waiting -= 1

    async def _wait_once(
        self, connections: _Connections, instance_id: str, *, started: bool
    ) -> InstanceRecord | None:
        """One turn of waiting; None when it had to be given up for others."""
        async with connections.turns:
            limit = asyncio.timeout(None)
            try:
                async with limit:
                    if connections.is_crowded:
                        return await self._row(instance_id, _SHORT_WAIT_SECONDS, started=started)
                    connections.long_waits.add(limit)
                    return await self._row(instance_id, _WAIT_SECONDS, started=started)
            except TimeoutError:
                return None
            finally:
                connections.long_waits.discard(limit)

    async def query(self, query: InstanceQuery) -> InstancePage:
        """A page of rows."""
        statuses = query.statuses
        wanted = {
            "status": None if statuses is None else ",".join(one.label for one in statuses),
            "name": query.name,
            "prefix": query.id_prefix,
            "createdFrom": _time(query.created_from),
            "createdTo": _time(query.created_to),
            "completedFrom": _time(query.completed_from),
            "completedTo": _time(query.completed_to),
            "order": None if query.order == "newest" else query.order,
            "held": None if query.held is None else str(query.held).lower(),
            "after": query.after,
            "limit": str(min(query.limit, MOST_ROWS)),
            "payloads": None if query.payloads else "false",
        }
        given = {name: value for name, value in wanted.items() if value is not None}
        sent = _Request(method="GET", path="/instances", query=given, is_safe=True)
        return self._read(await self._ask(sent), InstancePage, sent)

    async def history(self, instance_id: str, most_bytes: int | None = None) -> list[bytes]:
        """The turns of the current execution; read again when it changes on the way."""
        del most_bytes
        while True:
            try:
                return await self._whole_history(instance_id)
            except InstanceNotFoundError:
                return []
            except _HistoryMovedError:
                continue

    async def _whole_history(self, instance_id: str) -> list[bytes]:
        turns: list[bytes] = []
        after: str | None = None
        while True:
            try:
                page = await self.history_page(instance_id, after, 0)
            except InputError as error:
                if after is None:
                    raise
                raise _HistoryMovedError from error
            turns += page.turns
            after = page.after
            if after is None:
                return turns

    async def history_page(
        self, instance_id: str, after: str | None, most_bytes: int
    ) -> HistoryPage:
        """Turns of the current execution, as many as the server gives at a time."""
        del most_bytes
        sent = _Request(
            method="GET",
            path=f"{_path(instance_id)}/history",
            query={"after": after or ""},
            instance_id=instance_id,
            is_safe=True,
        )
        answer = await self._ask(sent)
        turns = [bytes(turn) for turn in self._read(answer, list[Raw], sent)]
        return HistoryPage(turns, answer.headers.get(CONTINUATION) or None)

    async def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """The newest messages that nobody could take."""
        letters: list[DeadLetter] = []
        after: str | None = None
        while True:
            page = await self.dead_letter_page(limit - len(letters), after, 0)
            letters += page.letters
            after = page.after
            if after is None or len(letters) >= limit:
                return letters

    async def dead_letter_page(
        self, limit: int, after: str | None, most_bytes: int
    ) -> DeadLetterPage:
        """Messages that nobody could take, as many as the server gives at a time."""
        del most_bytes
        query = {"limit": str(min(limit, MOST_ROWS))}
        if after is not None:
            query["after"] = after
        sent = _Request(method="GET", path="/dead-letters", query=query, is_safe=True)
        answer = await self._ask(sent)
        bodies = self._read(answer, list[DeadLetterBody], sent)
        return DeadLetterPage(
            [body.letter for body in bodies], answer.headers.get(CONTINUATION) or None
        )

    async def acknowledge_letters(self, message_ids: Sequence[MessageId]) -> int:
        """Note that somebody has seen to these dead letters."""
        body = DeadLetterIdsBody(ids=tuple(message_ids))
        return (await self._post("/dead-letters/acknowledge", body, CountBody)).count

    async def decided(self, instance_id: InstanceId, _execution_id: ExecutionId) -> None:
        """Not over HTTP.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"what became of a start of {instance_id!r} is asked of a client on the store "
            "(Client.open) or of a host's own, not of a server"
        )

    def wake(self) -> None:
        """Not over HTTP.

        Raises:
            InputError: always.
        """
        raise InputError(
            "hosts are woken by a client on the store (Client.open), not over a server"
        )

    async def close(self) -> None:
        """Close the connections."""
        self._is_closed = True
        connections, self._connections = self._connections, None
        if connections is not None and connections.loop is asyncio.get_running_loop():
            await connections.client.aclose()

    async def info(self) -> dict[str, Any]:
        """What the server says of itself."""
        sent = _Request(method="GET", path="/info", is_safe=True)
        return self._read(await self._ask(sent), dict[str, Any], sent)

    async def _get(self, path: str, kind: type[T], **query: Any) -> T:
        words = {name: str(value) for name, value in query.items() if value is not None}
        return await self._fetch(kind, path, words)

    async def _post(self, path: str, body: Struct, kind: type[T]) -> T:
        sent = _Request(method="POST", path=path, body=body)
        return self._read(await self._ask(sent), kind, sent)

    # --- requests ----------------------------------------------------------------------------

    async def _row(
        self, instance_id: str, seconds: float, *, started: bool = False
    ) -> InstanceRecord:
        query = {"waitingFor": "false"}
        if seconds:
            query["wait"] = str(seconds)
        if started:
            query["until"] = "started"
        sent = _Request(
            method="GET",
            path=_path(instance_id),
            query=query,
            instance_id=instance_id,
            is_safe=True,
            wait_seconds=seconds,
        )
        return self._read(await self._ask(sent), InstanceRecord, sent)

    async def _tell(self, instance_id: str, verb: str, body: Struct) -> None:
        await self._command("POST", instance_id, f"/{verb}", body=body)

    async def _command(
        self,
        method: str,
        instance_id: str,
        rest: str,
        *,
        body: Struct | None = None,
        query: dict[str, str] | None = None,
    ) -> None:
        sent = _Request(
            method=method,
            path=f"{_path(instance_id)}{rest}",
            body=body,
            query=query or {},
            instance_id=instance_id,
        )
        answer = await self._ask(sent)
        if answer.status_code != HTTPStatus.NO_CONTENT:
            raise self._strange(sent, f"{answer.status_code} {_kind(answer)}")

    async def _fetch(
        self, kind: type[T], path: str, query: dict[str, str] | None = None, method: str = "GET"
    ) -> T:
        sent = _Request(method=method, path=path, query=query or {}, is_safe=True)
        return self._read(await self._ask(sent), kind, sent)

    async def _ask(self, sent: _Request) -> "Response":
        """Send a request, again where that does no harm; the answer of a server that obeyed.

        Raises:
            ConnectionFailedError: nobody answers; UnexpectedAnswerError: somebody else does.
            TenutoError: what the server says, as the class that has its code.
        """
        import httpx2  # noqa: PLC0415 - see the module

        unsent = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
        loop = asyncio.get_running_loop()
        began, pause = loop.time(), _FIRST_PAUSE_SECONDS
        while True:
            failure: TenutoError | None
            try:
                answer = await self._send(sent)
            except httpx2.DecodingError:  # compressed, but not as it says
                raise self._strange(sent, "an answer that cannot be unpacked") from None
            except httpx2.TransportError as error:
                may_repeat = sent.is_safe or isinstance(error, unsent)
                failure = self._broken(sent, error, was_sent=not isinstance(error, unsent))
            else:
                failure = self._refusal(sent, answer)
                if failure is None:
                    self._has_answered, self._is_missed = True, False
                    return answer
                may_repeat = sent.is_safe and (
                    answer.status_code in _IN_BETWEEN
                    or isinstance(failure, StorageUnavailableError)
                )
            if not may_repeat or loop.time() + pause > began + self._patience(sent):
                raise failure
            if sent.wait_seconds and not self._is_missed:
                _LOGGER.warning("%s; waiting for it to come back", failure)
                self._is_missed = True
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _patience(self, sent: _Request) -> float:
        """For how many seconds a request is repeated; without end while somebody waits."""
        if sent.wait_seconds and self._has_answered:
            return math.inf
        return self._options.retry_for.total_seconds()

    async def _send(self, sent: _Request) -> "Response":
        seconds = self._options.request_timeout.total_seconds()
        return await self._open().client.request(
            sent.method,
            f"{self.url}{ADMIN}{sent.path}",
            params=sent.query or None,
            content=None if sent.body is None else msgspec.json.encode(sent.body),
            timeout=_timeout(seconds, seconds + sent.wait_seconds),
        )

    def _open(self) -> _Connections:
        if self._is_closed:
            raise ConnectionFailedError(f"the client of {self.url} is closed; make a new one")
        connections = self._connections
        if connections is None or connections.loop is not asyncio.get_running_loop():
            # Connections belong to their event loop; those of one that is gone are gone with it.
            connections = self._connections = _Connections(
                self._new_client(), max(1, self._options.connections // 2)
            )
        return connections

    def _new_client(self) -> "AsyncClient":
        import httpx2  # noqa: PLC0415 - see the module

        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key is not None:
            headers["x-functions-key"] = self._key
        is_encrypted = self.url.lower().startswith("https:")
        return httpx2.AsyncClient(
            headers=headers,
            # Reading the system's certificates takes long, and http has no use for them.
            verify=httpx2.create_ssl_context(self._options.certificates or True)
            if is_encrypted
            else False,
            trust_env=not is_loopback(self.url),
            limits=httpx2.Limits(
                max_connections=self._options.connections,
                max_keepalive_connections=self._options.connections,
                keepalive_expiry=_KEEP_ALIVE_SECONDS,
            ),
        )

    # --- answers -----------------------------------------------------------------------------

    def _read(self, answer: "Response", kind: type[T], sent: _Request) -> T:
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise self._strange(sent, f"{answer.status_code} {_kind(answer)}") from None

    def _refusal(self, sent: _Request, answer: "Response") -> TenutoError | None:
        """What the server refuses, None when it has obeyed."""
        if answer.is_success:
            return None
        try:
            body = msgspec.json.decode(answer.content, type=ErrorBody)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._strange(sent, f"{answer.status_code} {_kind(answer)}")
        return error_of(body, instance_id=sent.instance_id, name=sent.name)

    def _strange(self, sent: _Request, what: str) -> UnexpectedAnswerError:
        return UnexpectedAnswerError(
            f"{self.url} answered {sent.method} {ADMIN}{sent.path} with {what}, as no Tenuto "
            "server of this version does; is it the address of one, without a path behind it?"
        )

    def _broken(
        self, sent: _Request, error: "TransportError", *, was_sent: bool
    ) -> ConnectionFailedError:
        reason = str(error) or type(error).__name__
        if not was_sent:
            return ConnectionFailedError(
                f"cannot reach {self.url}: {reason}; is a server running there? `tenuto start "
                "app.py` starts one and prints its address"
            )
        doubt = ""
        if not sent.is_safe:
            what = "what is there" if sent.instance_id is None else "the instance"
            doubt = (
                f"; whether it was carried out is not known: look at {what} before you try again"
            )
        return ConnectionFailedError(
            f"{self.url} did not answer {sent.method} {ADMIN}{sent.path}: {reason}{doubt}"
        )


def _timeout(seconds: float, reading: float) -> Any:  # noqa: ANN401 - the library is loaded late
    import httpx2  # noqa: PLC0415 - see the module

    return httpx2.Timeout(seconds, read=reading, pool=None)


def _path(instance_id: str) -> str:
    name = quote(instance_id, safe="")
    # In a path, one dot and two dots mean something else.
    return f"/instances/{name.replace('.', '%2E') if name in _DOTS else name}"


def _time(microseconds: int | None) -> str | None:
    return None if microseconds is None else to_datetime(microseconds).isoformat()


def _kind(answer: "Response") -> str:
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if answer.is_redirect:
        return f"and a redirection to {answer.headers.get('location')}"
    return f"and {kind or 'nothing'}"
