"""No cut leaves half of a secret: what hides whole ones in answers would not know it."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from tenuto.functions.looking_back import _name  # the names of tasks, which code may choose
from tenuto.functions.shown_values import shown
from tenuto.model.cuts import cut, end
from tenuto.model.errors import PayloadError, PayloadMisfitError
from tenuto.model.lines import one_line
from tenuto.model.payload.sameness import _shown
from tenuto.model.texts import said, storable_text
from tenuto.telemetry.counts import shortened
from tenuto.telemetry.instance_log import _text_of

TOKEN = "Zq9-_kT4xYw7Lm2Np5Rb8Vc1Gd6Hf3Js0AeUiOyQrXtB"


def logged(text: str) -> str:
    record = logging.LogRecord("one", logging.INFO, "", 1, text, (), None)
    return _text_of(record)


def misfit(text: str) -> str:
    return PayloadMisfitError("the result", text, PayloadError("is odd", path="$")).recorded


@pytest.mark.parametrize(
    ("short", "most"),
    [
        (shortened, 500),
        (logged, 16 * 1024),
        (_name, 200),
        (_shown, 80),
        (said, 1_000),
        (one_line, 500),
        (storable_text, 16 * 1024),
        (misfit, 1_000),
        (lambda text: shown(text, 1_000), 200),
        (lambda text: cut(text, 100), 100),
    ],
)
def test_a_secret_stands_there_whole_or_not_at_all(short: Callable[[str], Any], most: int) -> None:
    for before in range(max(most - 60, 0), most + 5):
        text = f"{'p ' * (before // 2)}{'(' * (before % 2)}{TOKEN} {'z ' * most}"
        found = short(text)
        assert TOKEN in found or TOKEN[:4] not in found, before


def test_the_end_of_a_long_text_begins_with_a_whole_word_too() -> None:
    for after in range(60):
        text = f"{'z ' * 40_000}{TOKEN} {'p' * after}"
        assert TOKEN in end(text, 50) or TOKEN[-4:] not in end(text, 50)
    tail = storable_text(f"{'z ' * 40_000}{TOKEN} {'p ' * 8_180}")
    assert TOKEN in tail or TOKEN[-4:] not in tail


def test_what_is_too_long_for_a_secret_is_cut_where_it_is() -> None:
    assert cut("x" * 1_000, 600) == "x" * 600 + "..."
    assert cut("x" * 1, 10) == "x"
    assert cut("one two three", 7) == "one two..."
    assert cut("one two three", 9) == "one two ..."
    assert end("x" * 1_000, 600) == "x" * 600
    assert end("one two three", 9) == "two three"
    assert cut("x" * 120, 100) == "..."
    assert cut(r"a \u002f\u002f\u002f", 12) == "a ..."
