"""Texts are checked once, where they enter."""

import pytest

from tenuto import InputError, LimitError, PayloadError
from tenuto.model.texts import (
    check_together,
    checked_name,
    checked_text,
    checked_text_or_none,
    said,
)


class Shouted(str):
    """A text that says something else of itself."""

    __slots__ = ()

    def __str__(self) -> str:
        return self.upper()


@pytest.mark.parametrize("text", ["", "plain", "grüß dich", "\x00", "𝄞", Shouted("quiet")])
def test_what_passes_is_plain_and_the_same(text: str) -> None:
    for checked in (checked_text(text, "the reason"), checked_text_or_none(text, "the reason")):
        assert type(checked) is str
        assert checked == text
    assert checked_text_or_none(None, "the reason") is None


@pytest.mark.parametrize("value", [None, 5, b"bytes", ["a"]])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(InputError, match=r"^the reason must be a str, got "):
        checked_text(value, "the reason")
    if value is not None:
        with pytest.raises(InputError, match=r"^the reason must be a str or None, got "):
            checked_text_or_none(value, "the reason")
    with pytest.raises(InputError, match=r"^an event needs a name, a non-empty string; got "):
        checked_name(value, "an event")


def test_a_text_that_is_longer_than_a_page_is_refused_whole() -> None:
    for fits in ("x" * 4_096, "\u00fc" * 2_048):
        assert checked_text(fits, "the reason") == fits
    for long in ("x" * 4_097, "\u00fc" * 2_049):
        for check in (checked_text, checked_text_or_none, checked_name):
            with pytest.raises(LimitError, match="at most 4,096 are allowed"):
                check(long, "the reason")
    check_together(["a" * 4_000, "\u00fc" * 48], "both")
    with pytest.raises(LimitError, match=r"^both: 4,098 bytes"):
        check_together(["a" * 4_000, "\u00fc" * 49], "both")


def test_half_of_a_surrogate_pair_is_refused_with_its_place() -> None:
    for check in (checked_text, checked_text_or_none, checked_name):
        with pytest.raises(PayloadError, match="lone surrogate at character 2"):
            check("ab\ud800", "the reason")


def test_what_somebody_else_says_is_a_line_and_cut() -> None:
    assert said("no seat, °C") == "no seat, °C"
    assert said("a\n2026 FALSE \x1b[31m\x00") == "a\\n2026 FALSE \\x1b[31m\\x00"
    assert said("x" * 1_000) == "x" * 1_000
    assert len(said("x" * 3_000_000)) == 1_003
    assert len(said("\n" * 3_000_000)) <= 1_003
