"""What the activities do that Tenuto itself has, in words for people. Pure.

Never tells what may be secret: queries, headers, contents, who logs in.
"""

from urllib.parse import urljoin, urlsplit

import msgspec

from tenuto.model.built_in import HTTP_ACTIVITY, WEBHOOK_ACTIVITY, activity_words
from tenuto.model.http_call import HttpRequest


def request_text(name: str, text: str | None) -> str:
    """What an HTTP call asks for: ``GET https://example.org/x``; empty for what is none.

    Args:
        name: Of the activity.
        text: Its input as it is stored.
    """
    if name != HTTP_ACTIVITY:
        return ""
    try:
        request = msgspec.json.decode(text or "", type=HttpRequest)
        address = urlsplit(urljoin(request.base or "", request.url))
        port = "" if address.port is None else f":{address.port}"
    except (msgspec.DecodeError, ValueError):
        return ""
    return f"{request.method} {address.scheme}://{address.hostname}{port}{address.path}"


def call_text(name: str, request: str) -> str:
    """What an activity does; empty for one of the app.

    Args:
        name: Of the activity.
        request: Its ``request_text``.
    """
    if name == WEBHOOK_ACTIVITY:
        return f"the address of {activity_words(name)}"
    if name != HTTP_ACTIVITY:
        return ""
    return f"{activity_words(name)} ({request})" if request else activity_words(name)
