"""The page behind a webhook's address, and its use.

An address that stands in an e-mail is opened by scanners and previews, so a GET changes nothing: it
shows a page with a button. A POST raises the event, once. Who knows the address may use it; there
is no key. That it was used, has expired, or never existed looks the same from outside.
"""

import base64
import logging
from hashlib import sha256
from html import escape
from typing import Final
from urllib.parse import parse_qs

import msgspec
from msgspec import Struct
from starlette.responses import Response

from tenuto.client.gateway import Gateway
from tenuto.http.description import Answer, Operation
from tenuto.http.errors import ErrorBody, HttpError, error_answer
from tenuto.http.routing import Call, Endpoint, Route, bound, json_answer
from tenuto.model.errors import InvalidInstanceIdError, TenutoError, WebhookClosedError
from tenuto.model.ids import InstanceId
from tenuto.model.limits import Limits, check_payload
from tenuto.model.messages import RedeemWebhook
from tenuto.model.webhook import digest_of, is_genuine

_LOGGER: Final = logging.getLogger("tenuto.http")

PATH: Final = "/callbacks/{instanceId}/{token}"

_FORM: Final = "application/x-www-form-urlencoded"
_MOST_FIELDS: Final = 1_000

_LONGEST_TITLE: Final = 256

_STYLE: Final = """
:root { color-scheme: light dark; font: 1.05rem/1.5 system-ui, sans-serif; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; }
main { max-width: 28rem; padding: 2rem; text-align: center; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; }
button { font: inherit; padding: .7rem 2.2rem; border: 0; border-radius: .5rem;
  background: #1d4ed8; color: #fff; cursor: pointer; }
button:focus-visible { outline: 3px solid #93c5fd; outline-offset: 2px; }
"""

_STYLE_HASH: Final = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}
_GONE: Final = "This link is closed"
_GONE_TEXT: Final = "It was used, has expired, or never existed. Ask whoever sent it for a new one."


class UseBody(Struct, frozen=True):
    """How a webhook is used. Whether it still works is told by using it."""

    use: str = "POST"


class UsedBody(Struct, frozen=True):
    """A webhook has been used."""

    accepted: bool = True


def without_token(path: str) -> str:
    """A path as it may stand in a log."""
    start, mark, rest = path.partition("/callbacks/")
    return f"{start}{mark}{rest.partition('/')[0]}/..." if mark else path


class Callbacks:
    """The routes under ``/callbacks``.

    Args:
        gateway: Takes what is used.
        limits: Of these, ``payload_bytes`` holds for the data.
        secret: What tokens are signed with.
        body_bytes: Longest body of a request.
    """

    def __init__(self, gateway: Gateway, limits: Limits, secret: str, body_bytes: int) -> None:
        self._gateway = gateway
        self._limits = limits
        self._secret = secret
        self._body_bytes = body_bytes

    def routes(self) -> list[Route]:
        """The routes of the table below."""
        return bound(_ENDPOINTS, self)

    async def show(self, call: Call) -> Response:
        # Whether it is open stands in the instance's history, which may be long, and nobody had to
        # show a key: looking costs nothing and tells nothing. Using it does.
        if not _wants_page(call):
            return json_answer(UseBody(), 200, _HEADERS)
        return _page(
            200,
            (call.one("event") or "")[:_LONGEST_TITLE] or "Please confirm",
            "<p>Press the button to send your answer. It works once.</p>"
            '<form method="post"><button type="submit">Confirm</button></form>',
        )

    async def use(self, call: Call) -> Response:
        try:
            instance_id, digest = await self._address(call)  # before the body is read
            call.limit_body(self._body_bytes, "webhook_bytes")
            text = await _data(call)
            check_payload(text, self._limits.payload_bytes, "the data of this webhook")
            used = RedeemWebhook(digest=digest, requested_at=self._gateway.now(), input=text)
            await self._gateway.tell(instance_id, used)
        except WebhookClosedError as error:
            return _closed(call, error)
        if _wants_page(call):
            return _page(202, "Thank you", "<p>Your answer has been recorded.</p>")
        return json_answer(UsedBody(), 202, _HEADERS)

    async def _address(self, call: Call) -> tuple[InstanceId, str]:
        """Instance and digest of the token.

        Anybody may send anything here: an address that was made up costs a digest, one whose
        instance has ended a look at its row.

        Raises:
            WebhookClosedError: there never was such an address, or its instance has ended.
        """
        token = call.parameters["token"]
        try:
            instance_id = call.instance_id
        except InvalidInstanceIdError:
            raise WebhookClosedError(call.parameters["instanceId"]) from None
        if not is_genuine(self._secret, instance_id, token):
            raise WebhookClosedError(instance_id)
        record = await self._gateway.get(instance_id)
        if record is None or record.status.is_finished:
            raise WebhookClosedError(instance_id)
        return instance_id, digest_of(token)


_SHOW: Final = Operation(
    summary="Look at a webhook",
    tag="webhooks",
    answers={200: Answer(text="How to use the webhook.", kind=UseBody, pages=True)},
)
_USE: Final = Operation(
    summary="Use a webhook, once",
    tag="webhooks",
    body=object,
    answers={
        202: Answer(text="The event is durable.", kind=UsedBody, pages=True),
        410: Answer(
            text="The webhook was used, has expired, or never existed.", kind=ErrorBody, pages=True
        ),
    },
    errors=(415,),
)
_ENDPOINTS: Final = (
    Endpoint("GET", PATH, None, Callbacks.show, _SHOW),
    Endpoint("POST", PATH, None, Callbacks.use, _USE),
)


async def _data(call: Call) -> str | None:
    """The event's data as JSON text: a form's fields as an object, else the body."""
    kind = call.content_type
    if kind.startswith("multipart/"):
        raise HttpError("send the data as JSON or as a simple form", status=415)
    if kind != _FORM:
        return await call.json_text()
    try:
        fields = parse_qs(
            (await call.body()).decode(),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise HttpError(f"the form is not UTF-8, or has over {_MOST_FIELDS} fields") from None
    if not fields:
        return None
    single = {name: texts[0] if len(texts) == 1 else texts for name, texts in fields.items()}
    return msgspec.json.encode(single).decode()


def _wants_page(call: Call) -> bool:
    return "text/html" in (call.header("accept") or "").lower()


def _closed(call: Call, error: TenutoError) -> Response:
    if _wants_page(call):
        return _page(410, _GONE, f"<p>{_GONE_TEXT}</p>")
    answer = error_answer(error)
    answer.status_code = 410
    answer.headers.update(_HEADERS)
    return answer


def _page(status: int, title: str, body: str) -> Response:
    title = escape(title)
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="robots" content="noindex, nofollow">'
        f"<title>{title}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{title}</h1>{body}</main></body></html>"
    )
    return Response(text, status, _HEADERS, media_type="text/html")
