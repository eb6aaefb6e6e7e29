"""JSON at the door: valid or not, how deep, without building what it describes."""

import asyncio
import gc
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.http.bodies import check_depth, json_text
from tenuto.http.errors import HttpError
from tenuto.model.payload import soundness

JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text('[]{}"\\x', max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text('[]{}"\\y', max_size=4), inner, max_size=3)
    ),
)


def depth(value: Any) -> int:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


@given(value=JSON, piece=st.integers(1, 9))
def test_the_depth_is_that_of_the_value_however_it_is_cut(value: object, piece: int) -> None:
    body = json.dumps(value, ensure_ascii=False).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(soundness, "_PIECE_BYTES", piece)
        for levels in range(depth(value)):
            with pytest.raises(HttpError, match=f"more than {levels} levels"):
                check_depth(body, levels)
        check_depth(body, depth(value))


@pytest.mark.parametrize("pad", [0, 100_000])
@pytest.mark.parametrize("levels", [101, 102, 999, 50_000])
async def test_what_is_nested_deeper_than_a_payload_may_be_is_refused(
    levels: int, pad: int
) -> None:
    for left, right in (("[", "]"), ('{"a":', "}")):
        body = " " * pad + left * levels + "1" + right * levels
        with pytest.raises(HttpError, match="nested more than 100 levels"):
            await json_text(body.encode())
        fits = " " * pad + left * 100 + "1" + right * 100
        assert await json_text(fits.encode()) == fits


@pytest.mark.parametrize("pad", [0, 100_000])
@pytest.mark.parametrize(
    "body",
    [
        b"{", b"[1,]", b"1 2", b'"\xff"', b"nul", b"01", b"1.", b"-", b'"\\x"', b'"\\ud800"',
        b'"\\ud800x"', b"1e999", b"[-1E+400]", b'{"a": 1e00000999}', b"9" * 400 + b".5", b"NaN",
        b"Infinity", b"'a'", b"\x00",
    ],
)  # fmt: skip
async def test_what_no_reader_could_read_is_refused(body: bytes, pad: int) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        msgspec.json.decode(body)
    with pytest.raises(HttpError, match="Invalid JSON content: "):
        await json_text(b" " * pad + body)


@pytest.mark.parametrize(
    "body", ['"1e999"', "1e300", "0.1e-999", '{"a": ["é", 1E5]}', "1e308", '"[[[["', "true"]
)
async def test_what_can_be_read_passes_to_the_letter(body: str) -> None:
    msgspec.json.decode(body)
    assert await json_text(body.encode()) == body


async def test_a_body_of_millions_of_lists_builds_none_of_them() -> None:
    """S3: 5 MB of them took a second of the loop, most of it the collector's."""
    body = b"[" + b"[]," * 1_700_000 + b"[]]"
    collections = gc.get_stats()[0]["collections"]
    await json_text(body)
    assert gc.get_stats()[0]["collections"] - collections < 20


@pytest.mark.parametrize(
    ("body", "lets_others_in"),
    [
        (b"[%s]" % (b'"x",' * 250_000 + b"1"), True),
        (b"[" + b"[]," * 350_000 + b"x", True),  # found wrong at its end
        (b'{"a": 1}', False),  # a thread would cost more than the look
    ],
)
async def test_one_never_takes_all_the_loop_goes_on_beside_a_long_body(
    body: bytes, *, lets_others_in: bool
) -> None:
    rounds = 0

    async def others() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0)

    going_on = asyncio.create_task(others())
    try:
        await json_text(body)
    except HttpError:
        assert body.endswith(b"x")
    assert (rounds > 0) == lets_others_in
    going_on.cancel()
