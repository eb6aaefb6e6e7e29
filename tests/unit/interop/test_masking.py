"""Secrets in texts of user code, however they are written there."""

import json
from urllib.parse import quote

import pytest

from tenuto.interop.workers.masking import masked

HARD = [
    "-----BEGIN KEY-----\nPEMSECRETLINE\n-----END KEY-----",
    'it\'s\\a"QSECRET"',
    "it's only one quote",
    "two \\\\server\\share\\\\ slashes",
    "pässwörtSECRET",
    "with \U0001f600 in it \u2028 and \x1b",
    "tab\tand\r\nline",
]


@pytest.mark.parametrize("secret", HARD)
def test_a_secret_is_found_in_every_spelling(secret: str) -> None:
    spellings = [
        secret,
        repr(secret),
        ascii(secret),
        repr({"a": secret, "it's \"": 1}),
        json.dumps(secret),
        json.dumps(secret, ensure_ascii=False),
        repr(json.dumps({"Key": secret})),
        json.dumps(json.dumps([secret])),
        repr(secret.encode()),
        quote(secret, safe=""),
        "".join(one if one.isalnum() else f"\\u{{{ord(one):X}}}" for one in secret).replace(
            "\\u{5C}", "\\\\"
        ),
    ]
    for spelling in spellings:
        said = masked({"(the key)": secret}, f"before {spelling} after")
        assert "(the key)" in said, spelling
        assert said.startswith("before ")
        assert said.endswith(" after")
        for part in ("SECRET", "quote", "share", "in it", "line", "BEGIN"):
            assert part not in said, spelling


def test_a_secret_that_another_one_begins_with_is_hidden_whole() -> None:
    vault = "https://vault.example.com/"
    secrets = {"(a)": vault, "(b)": f"{vault}?sig=SASSECRET123", "(c)": "SASSECRET123 and more"}
    for order in (secrets, dict(reversed(secrets.items()))):
        assert masked(order, f"x {vault}?sig=SASSECRET123 y {vault} z") == "x (b) y (a) z"
        assert masked(order, f"{vault}?sig=SASSECRET123 and more!") == "(b)!"


def test_a_line_of_a_secret_is_one() -> None:
    secrets = {"(key)": HARD[0]}
    assert masked(secrets, "unknown line: 'PEMSECRETLINE'") == "unknown line: '(key)'"
    assert masked({"(key)": "a\nb\nlong enough"}, "a b") == "a b"


def test_words_in_the_place_of_a_secret_are_not_searched() -> None:
    assert masked({"(one-two)": "first", "(x)": "one-two"}, "first") == "(one-two)"


def test_many_backslashes_take_no_time() -> None:
    text = "\\" * 20_000 + "x"
    assert masked({"(key)": "\\\\server\n\\share"}, text) == text
