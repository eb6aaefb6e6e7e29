"""What the activities do that Tenuto itself has, in words for people. Pure.

Never tells what may be secret: queries, headers, contents, who logs in.
"""

from urllib.parse import urljoin, urlsplit

import msgspec

from tenuto.model.http_call import HTTP_ACTIVITY, HttpRequest
from tenuto.model.webhook import WEBHOOK_ACTIVITY


def call_text(name: str, text: str | None) -> str:
    """What an activity does, as its input tells it; empty for one of the app.

    Args:
        name: Of the activity.
        text: Its input as it is stored.
    """
    if name == WEBHOOK_ACTIVITY:
        return "the address of a link"
    if name != HTTP_ACTIVITY:
        return ""
    try:
        request = msgspec.json.decode(text or "", type=HttpRequest)
        address = urlsplit(urljoin(request.base or "", request.url))
        port = "" if address.port is None else f":{address.port}"
    except (msgspec.DecodeError, ValueError):
        return "an HTTP call"
    host = f"{address.scheme}://{address.hostname}{port}"
    return f"an HTTP call ({request.method} {host}{address.path})"
