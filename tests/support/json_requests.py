"""Requests with JSON to a server in another process."""

import json
import urllib.error
import urllib.request
from typing import Any


def ask(method: str, url: str, body: object = None) -> tuple[int, Any]:
    """A request with JSON, and its answer's status and JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())
