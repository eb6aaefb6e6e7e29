"""Calls over HTTP as data: what is refused, and the forms that history holds."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from tenuto import (
    HttpCallOptions,
    HttpResponse,
    HttpRetry,
    InputError,
    ManagedIdentityTokenSource,
    PayloadError,
)
from tenuto.model.http_call import HttpAnswer, HttpRequest, http_request

URL = "https://example.org/a"


def form(request: HttpRequest) -> dict[str, Any]:
    written = msgspec.json.encode(request)
    assert msgspec.json.decode(written, type=HttpRequest) == request
    decoded: dict[str, Any] = json.loads(written)
    return decoded


@pytest.mark.parametrize(
    ("content", "headers", "sent", "kind"),
    [
        ("text", None, "text", "text/plain; charset=utf-8"),
        ("a=1", {"content-type": "application/x-www-form-urlencoded"}, "a=1", None),
        ({"a": [1]}, None, '{"a":[1]}', "application/json"),
        ([1], None, "[1]", "application/json"),
        ("", None, "", "text/plain; charset=utf-8"),
    ],
)
def test_content_is_sent_as_text_or_json_unless_told_otherwise(
    content: object, headers: dict[str, str] | None, sent: str, kind: str | None
) -> None:
    request = http_request("post", URL, content, headers, None)
    assert request.content == sent
    assert request.method == "POST"
    assert request.headers.get("Content-Type") == (None if kind is None else [kind])


def test_a_request_without_content_has_no_content_type() -> None:
    assert form(http_request("GET", URL, None, {"A": ["1", "2"], "B": "3"}, None)) == {
        "method": "GET",
        "url": URL,
        "headers": {"A": ["1", "2"], "B": ["3"]},
    }


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ("billing", {"kind": "Named", "name": "billing"}),
        (
            ManagedIdentityTokenSource("https://graph"),
            {"kind": "AzureManagedIdentity", "resource": "https://graph"},
        ),
        (
            ManagedIdentityTokenSource("https://graph", "https://login", "t1"),
            {
                "kind": "AzureManagedIdentity",
                "resource": "https://graph",
                "options": {"authorityhost": "https://login", "tenantid": "t1"},
            },
        ),
    ],
)
def test_a_token_source_keeps_the_form_of_the_original(
    source: str | ManagedIdentityTokenSource, written: dict[str, Any]
) -> None:
    """S87."""
    assert form(http_request("GET", URL, None, None, source))["tokenSource"] == written


@pytest.mark.parametrize(
    ("method", "url", "content", "headers", "message"),
    [
        ("G T", URL, None, None, "method"),
        (7, URL, None, None, "method"),
        ("GET", "example.org", None, None, "http://"),
        ("GET", "ftp://example.org", None, None, "http://"),
        ("GET", "https:///a", None, None, "a host"),
        ("GET", "https://example.org/a b", None, None, "http://"),
        ("GET", "https://example.org/\x00", None, None, "http://"),
        ("GET", "https://example.org/\ud800", None, None, "http://"),
        ("GET", None, None, None, "http://"),
        ("POST", URL, b"binary", None, "binary"),
        ("GET", URL, None, ["a"], "headers must map"),
        ("GET", URL, None, {"a b": "1"}, "'a b' cannot be the name"),
        ("GET", URL, None, {7: "1"}, "7 cannot be the name"),
        ("GET", URL, None, {"A": 7}, "header 'A' must be a str, got int"),
        ("GET", URL, None, {"A": ["1", None]}, "header 'A' must be a str, got NoneType"),
        ("GET", URL, None, {"A": "1\r\nB: 2"}, "line break"),
    ],
)
def test_a_request_that_cannot_be_is_refused_by_name_bad_input_is_refused_whole(
    method: object, url: object, content: object, headers: object, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        http_request(method, url, content, headers, None)


def test_a_refusal_does_not_repeat_a_headers_value() -> None:
    with pytest.raises(InputError) as caught:
        http_request("GET", URL, None, {"Authorization": "secret\n"}, None)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("content", [object(), "\ud800"])
def test_content_that_cannot_be_stored_is_refused(content: object) -> None:
    with pytest.raises(PayloadError):
        http_request("POST", URL, content, None, None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HttpRetry(max_attempts=0), "max_attempts"),
        (lambda: HttpRetry(max_attempts=1, statuses=[404]), "statuses"),  # type: ignore[arg-type]
        (lambda: HttpRetry(max_attempts=1, statuses=(1000,)), "statuses"),
        (lambda: HttpRetry(max_attempts=1, statuses=("404",)), "statuses"),  # type: ignore[arg-type]
        (lambda: HttpCallOptions(poll="yes"), "poll"),  # type: ignore[arg-type]
        (lambda: HttpCallOptions(poll_interval=timedelta(0)), "poll_interval"),
        (lambda: HttpCallOptions(max_poll_interval=timedelta(0)), "max_poll_interval"),
        (lambda: HttpCallOptions(poll_headers=()), "poll_headers"),
        (lambda: HttpCallOptions(poll_headers="Location"), "poll_headers"),  # type: ignore[arg-type]
        (lambda: HttpCallOptions(poll_headers=("a b",)), "poll_headers"),
        (lambda: HttpCallOptions(poll_interval=None), "poll_interval"),  # type: ignore[arg-type]
        (lambda: HttpCallOptions(timeout=5), "timeout"),  # type: ignore[arg-type]
        (lambda: HttpCallOptions(retry=3), "retry"),  # type: ignore[arg-type]
        (lambda: HttpCallOptions(token_source=""), "token_source"),
        (lambda: HttpCallOptions(token_source=len), "token_source"),  # type: ignore[arg-type]
        (lambda: ManagedIdentityTokenSource(""), "resource"),
        (lambda: ManagedIdentityTokenSource("a", tenant_id=7), "tenant_id"),  # type: ignore[arg-type]
    ],
)
def test_options_out_of_range_are_refused_by_name(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_a_token_source_is_named_or_described() -> None:
    identity = ManagedIdentityTokenSource("https://graph")
    assert HttpCallOptions(token_source="billing").token_source == "billing"
    assert HttpCallOptions(token_source=identity).token_source is identity


def test_no_statuses_mean_every_error_and_some_mean_these() -> None:
    every = HttpRetry(max_attempts=2)
    assert [every.covers(code) for code in (200, 302, 400, 503)] == [False, False, True, True]
    some = HttpRetry(max_attempts=2, statuses=(404, 202))
    assert [some.covers(code) for code in (202, 404, 503)] == [True, True, False]


def test_an_answer_can_be_asked() -> None:
    answer = HttpResponse(status_code=201, headers={"x-a": ["1", "2"]}, content='{"a": 1}')
    assert answer.ok
    assert answer.header("X-A") == "1"
    assert answer.header("X-B") is None
    assert answer.json() == {"a": 1}
    bad = HttpResponse(status_code=404, headers={}, content=None, url=URL)
    assert not bad.ok
    with pytest.raises(InputError, match=r"example\.org/a \(404\) is not JSON"):
        bad.json()


def test_an_answer_has_the_fields_of_the_original() -> None:
    written = msgspec.json.encode(HttpAnswer(200, {"a": ["1"]}, "x"))
    assert json.loads(written) == {"statusCode": 200, "headers": {"a": ["1"]}, "content": "x"}
