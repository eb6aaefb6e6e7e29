"""The addresses behind webhooks and questions: what they show, and their use.

An address that stands in an e-mail is opened by scanners and previews, so a GET changes nothing: it
shows a page. A POST raises the event or answers, once. Who knows the address may use it; there is
no key. What is shown is what the store has, and costs one look-up: whoever has no link gets no
further, and a body is read only for a link that is open.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final
from urllib.parse import parse_qs

import msgspec
from msgspec import Raw, Struct
from starlette.responses import Response

from tenuto.client.gateway import Gateway
from tenuto.http.description import Answer, Operation
from tenuto.http.errors import ErrorBody, HttpError, RouteNotFoundError, error_answer
from tenuto.http.functions import pages
from tenuto.http.functions.pages import HEADERS
from tenuto.http.routing import Call, Endpoint, Route, bound, json_answer
from tenuto.model.errors import (
    InstanceError,
    PayloadError,
    QuestionClosedError,
    TenutoError,
    WebhookClosedError,
)
from tenuto.model.form import ONLY, Form
from tenuto.model.limits import Limits, check_payload
from tenuto.model.links import FoundLink, QuestionLink
from tenuto.model.messages import AnswerQuestion, RedeemWebhook
from tenuto.model.timing import Microseconds
from tenuto.model.webhook import digest_of, is_genuine

_LOGGER: Final = logging.getLogger("tenuto.http")

PATH: Final = "/callbacks/{instanceId}/{token}"

_FORM: Final = "application/x-www-form-urlencoded"
_MOST_FIELDS: Final = 1_000

Fields = Mapping[str, Sequence[str]]
"""What a browser sends: the texts of each field."""


class UseBody(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What is behind an address: of a webhook how it is used; of a question what is asked, and what
    was answered.

    Attributes:
        use: How it is used.
        title: The question.
        text: What is said besides.
        form: What is to be filled in.
        is_open: Whether it can be answered now.
        expires_at: When it is not asked any more, in microseconds since 1970 UTC.
        answer: What was answered.
        answered_at: When.
        by: By whom, if somebody said so.
    """

    use: str
    title: str = ""
    text: str = ""
    form: Form | None = None
    is_open: bool | None = None
    expires_at: Microseconds | None = None
    answer: Raw | msgspec.UnsetType = msgspec.UNSET
    answered_at: Microseconds | None = None
    by: str | None = None


class UsedBody(Struct, frozen=True):
    """A webhook has been used, or a question answered."""

    accepted: bool = True


class Callbacks:
    """The routes under ``/callbacks``.

    Args:
        gateway: Takes what is used.
        limits: Of these, ``payload_bytes`` holds for the data.
        find: The link whose token has a digest.
        secret: What tokens are signed with.
        body_bytes: Longest body of a request.
    """

    def __init__(
        self,
        gateway: Gateway,
        limits: Limits,
        find: Callable[[str], Awaitable[FoundLink | None]],
        *,
        secret: str,
        body_bytes: int,
    ) -> None:
        self._gateway = gateway
        self._limits = limits
        self._find = find
        self._secret = secret
        self._body_bytes = body_bytes

    def routes(self) -> list[Route]:
        """The routes of the table below."""
        return bound(_ENDPOINTS, self)

    async def show(self, call: Call) -> Response:
        found = await self._found(call)
        if found is None:
            return _nothing(call)
        now = self._gateway.now()
        link, is_open = found.link, found.is_open(now)
        if isinstance(link, QuestionLink):
            if not _wants_page(call):
                return json_answer(_body(link, is_open=is_open), 200, HEADERS)
            if link.answer is not None:
                return pages.answered(link, link.answer, 200, link.answered_at)
            return pages.question(link) if is_open else pages.too_late(link, now)
        if not is_open:
            return self._closed(call, found, WebhookClosedError(found.instance_id))
        return pages.confirmation(link.name) if _wants_page(call) else _use_answer()

    async def use(self, call: Call) -> Response:
        found = await self._found(call)
        if found is None:
            return _nothing(call)
        if not found.is_open(self._gateway.now()):
            return self._closed(call, found)
        call.limit_body(self._body_bytes, "webhook_bytes")
        if isinstance(found.link, QuestionLink):
            return await self._answer(call, found, found.link)
        return await self._redeem(call, found, found.link.name)

    async def _redeem(self, call: Call, found: FoundLink, name: str) -> Response:
        fields = await _fields(call)
        text = await call.json_text() if fields is None else _as_object(fields)
        check_payload(text, self._limits.payload_bytes, "the data of this webhook")
        digest = digest_of(call.parameters["token"])
        used = RedeemWebhook(digest=digest, requested_at=self._gateway.now(), input=text)
        try:
            await self._gateway.tell(found.instance_id, used)
        except PayloadError as error:
            if not _wants_page(call):
                raise
            return pages.confirmation(name, error.for_callers)
        except InstanceError:
            return self._closed(call, found)
        if _wants_page(call):
            return pages.page(202, name, "<p>Thank you. Your answer has been recorded.</p>")
        return json_answer(UsedBody(), 202, HEADERS)

    async def _answer(self, call: Call, found: FoundLink, link: QuestionLink) -> Response:
        fields = await _fields(call)
        if fields is None:
            text = await call.json_text() or "null"
        else:
            entered = link.form.read(fields)
            if entered.text is None:
                return _wrong(call, link, fields, entered.errors)
            text = entered.text
        check_payload(text, self._limits.payload_bytes, "the answer")
        message = AnswerQuestion(
            question=link.number,
            title=link.title,
            execution_id=link.execution_id,
            requested_at=self._gateway.now(),
            input=text,
        )
        try:
            await self._gateway.tell(found.instance_id, message)
        except PayloadError as error:
            if fields is None and not _wants_page(call):
                return _refused(error, 422)
            return _wrong(call, link, fields, {_field_of(link.form, error): _words(error)})
        except InstanceError:
            return self._closed(call, await self._found(call) or found)
        if _wants_page(call):
            return pages.answered(link, link.form.completed(text), 202, None)
        return json_answer(UsedBody(), 202, HEADERS)

    async def _found(self, call: Call) -> FoundLink | None:
        """The link of this address; an address that was made up costs no look into the store."""
        instance_id, token = call.parameters["instanceId"], call.parameters["token"]
        if not is_genuine(self._secret, instance_id, token):
            return None
        found = await self._find(digest_of(token))
        return found if found is not None and found.instance_id == instance_id else None

    def _closed(self, call: Call, found: FoundLink, error: TenutoError | None = None) -> Response:
        """Why a link that is there cannot be used; a question tells what was answered."""
        link = found.link
        if not isinstance(link, QuestionLink):
            if _wants_page(call):
                return pages.closed(link.name)
            return _refused(error or WebhookClosedError(found.instance_id), 410)
        if link.answer is not None:
            if _wants_page(call):
                return pages.answered(link, link.answer, 409, link.answered_at)
            at = "" if link.answered_at is None else f" on {pages.when(link.answered_at)}"
            words = f"was answered{at}: {link.answer}"
            return _refused(QuestionClosedError(found.instance_id, words), 409)
        if _wants_page(call):
            return pages.too_late(link, self._gateway.now())
        return _refused(QuestionClosedError(found.instance_id, "does not ask this any more"), 410)


_NOT_THERE: Final = Answer(text="No link has this address.", kind=ErrorBody, pages=True)
_SHOW: Final = Operation(
    summary="Look at a webhook, or at what is asked",
    tag="webhooks",
    answers={
        200: Answer(
            text="How to use the webhook; what is asked, and what was answered.",
            kind=UseBody,
            pages=True,
        ),
        404: _NOT_THERE,
        410: Answer(
            text="The webhook was used, has expired, or its instance has ended.",
            kind=ErrorBody,
            pages=True,
        ),
    },
)
_USE: Final = Operation(
    summary="Use a webhook, or answer what is asked, once",
    tag="webhooks",
    body=object,
    answers={
        202: Answer(text="The event, or the answer, is durable.", kind=UsedBody, pages=True),
        404: _NOT_THERE,
        409: Answer(text="It was answered before: how.", kind=ErrorBody, pages=True),
        410: Answer(text="The webhook was used, or it is too late.", kind=ErrorBody, pages=True),
        422: Answer(
            text="The answer is not what is asked for: where. It stays open.",
            kind=ErrorBody,
            pages=True,
        ),
    },
    errors=(400, 413, 415),
)
_ENDPOINTS: Final = (
    Endpoint("GET", PATH, None, Callbacks.show, _SHOW),
    Endpoint("POST", PATH, None, Callbacks.use, _USE),
)


async def _fields(call: Call) -> Fields | None:
    """The fields of a form; None when it is no form."""
    kind = call.content_type
    if kind.startswith("multipart/"):
        raise HttpError("send the data as JSON or as a simple form", status=415)
    if kind != _FORM:
        return None
    try:
        return parse_qs(
            (await call.body()).decode(),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise HttpError(f"the form is not UTF-8, or has over {_MOST_FIELDS} fields") from None


def _as_object(fields: Fields) -> str | None:
    """A form's fields as an object of texts, for an event."""
    if not fields:
        return None
    single = {name: texts[0] if len(texts) == 1 else texts for name, texts in fields.items()}
    return msgspec.json.encode(single).decode()


def _field_of(form: Form, error: PayloadError) -> str:
    """The field that an error is about; empty for none."""
    if form.is_single:
        return ONLY
    name = error.path.removeprefix("$.").partition(".")[0].partition("[")[0]
    return name if any(name == one.name for one in form.fields) else ""


def _words(error: PayloadError) -> str:
    """What is wrong with an answer, for whoever has filled in a page."""
    return error.reason.partition(": ")[2] or error.reason


def _wants_page(call: Call) -> bool:
    return "text/html" in (call.header("accept") or "").lower()


def _body(link: QuestionLink, *, is_open: bool) -> UseBody:
    return UseBody(
        use="POST",
        title=link.title,
        text=link.text,
        form=link.form,
        is_open=is_open,
        expires_at=link.expires_at,
        answer=msgspec.UNSET if link.answer is None else Raw(link.answer.encode()),
        answered_at=link.answered_at,
        by=link.by,
    )


def _use_answer() -> Response:
    return json_answer(UseBody(use="POST"), 200, HEADERS)


def _wrong(
    call: Call, link: QuestionLink, fields: Fields | None, errors: Mapping[str, str]
) -> Response:
    if _wants_page(call):
        return pages.question(link, fields, errors)
    listed = "; ".join(f"{name or 'the answer'}: {text}" for name, text in errors.items())
    return _refused(PayloadError(listed, path=""), 422)


def _nothing(call: Call) -> Response:
    if _wants_page(call):
        return pages.unknown()
    return _refused(RouteNotFoundError("no link has this address"), 404)


def _refused(error: TenutoError, status: int) -> Response:
    answer = error_answer(error)
    answer.status_code = status
    answer.headers.update(HEADERS)
    return answer
