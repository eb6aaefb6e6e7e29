"""Passwords of addresses in lines are hidden, in time that grows no faster than the line."""

import time

import pytest

from tenuto.telemetry.host_log import without_password


def seconds(text: str) -> float:
    best = 1e9
    for _ in range(3):
        begun = time.thread_time()
        without_password(text)
        best = min(best, time.thread_time() - begun)
    return best


@pytest.mark.parametrize(
    ("before", "again"),
    [
        ("a://", "a:"),
        ("", "a://x"),
        ("", "://"),
        ("", "a://u:"),
        ("", "password="),
        ("", "?password"),
        ("", "&password=a"),
        ("", "password "),
        ("", "w"),
        ("password=", "' \\"),
    ],
)
def test_a_line_of_four_times_the_length_takes_no_more_than_that(before: str, again: str) -> None:
    short = before + again * (4_000 // len(again))
    long = before + again * (16_000 // len(again))
    assert seconds(long) < 8 * seconds(short) + 0.002


def test_passwords_are_hidden_and_the_rest_stays() -> None:
    text = "see postgres://me:a:b@c@host/db and mail a:b or x@y"
    assert without_password(text) == "see postgres://me:***@host/db and mail a:b or x@y"
