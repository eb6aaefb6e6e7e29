"""Requests and answers over HTTP, as the package's objects and as the protocol has them."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

_LOWEST, _HIGHEST = 200, 599


def request(http: dict[str, Any], body: bytes) -> Any:
    """A request for a function: ``azure.functions.HttpRequest``.

    What comes more than once is joined, and what is empty in the query is left out, as in Azure.
    """
    return importlib.import_module("azure.functions.http").HttpRequest(
        method=http["method"],
        url=http["url"],
        headers=_joined(http.get("headers", ())),
        params={name: value for name, value in _joined(http.get("query", ())).items() if value},
        route_params=dict(http.get("params", {})),
        body_type="bytes",
        body=body,
    )


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        separator = "; " if name.lower() == "cookie" else ","
        joined[name] = joined[name] + separator + value if name in joined else value
    return joined


def is_http_response(value: Any) -> bool:
    """Whether it is an ``azure.functions.HttpResponse``."""
    return isinstance(value, importlib.import_module("azure.functions").HttpResponse)


def answer(value: Any) -> tuple[dict[str, Any], bytes]:
    """What a function has answered, and its body.

    Raises:
        TypeError: it has returned something else than a text or an ``HttpResponse``.
        ValueError: its status is none of HTTP.
    """
    if isinstance(value, str):
        headers = [["content-type", "text/plain; charset=utf-8"]]
        return {"answer": {"status": 200, "headers": headers}}, value.encode()
    if not is_http_response(value):
        raise TypeError(
            f"unable to encode outgoing TypedData: unsupported type "
            f'"HttpResponse" for Python type "{type(value).__name__}"; a function behind HTTP '
            "returns an azure.functions.HttpResponse or a str"
        )
    headers = [[str(name), str(text)] for name, text in value.headers.items()]
    if not any(name.lower() == "content-type" for name, _ in headers):
        charset = f"; charset={value.charset}" if value.mimetype.startswith("text/") else ""
        headers.append(["content-type", value.mimetype + charset])
    status = int(value.status_code)
    if not _LOWEST <= status <= _HIGHEST:
        raise ValueError(f"an answer has a status of {_LOWEST} to {_HIGHEST}, got {status}")
    return {"answer": {"status": status, "headers": headers}}, value.get_body()
