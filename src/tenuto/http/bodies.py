"""JSON bodies at the door: valid and not too deep, found out without building what they describe.

A long one is looked through in a thread. What passes here, every reader behind can read.
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from tenuto.http.errors import HttpError
from tenuto.model.errors import InputError
from tenuto.model.payload.plain import MAX_DEPTH
from tenuto.model.payload.soundness import check_json, check_json_depth

T = TypeVar("T")

_THREAD_BYTES: Final = 64 * 1024


async def json_text(body: bytes, *, levels: int = MAX_DEPTH) -> str:
    """A body as JSON text, to the letter.

    Args:
        body: As it came.
        levels: How deep it may be nested.

    Raises:
        HttpError: it is not JSON, or nested deeper.
    """
    try:
        return await beside(len(body), lambda: check_json(body, levels))
    except InputError as error:
        raise HttpError(f"Invalid JSON content: {error}") from None


async def beside(size: int, work: Callable[[], T]) -> T:
    """What is made of a body: of a long one in a thread, so that the loop serves others meanwhile.

    Args:
        size: Of the body, in bytes or characters.
        work: Makes it; touches nothing that is the loop's.
    """
    return work() if size <= _THREAD_BYTES else await asyncio.to_thread(work)


def check_depth(body: bytes, levels: int = MAX_DEPTH) -> None:
    """Refuse valid JSON that is nested deeper.

    Raises:
        HttpError: it is.
    """
    try:
        check_json_depth(body, levels)
    except InputError as error:
        raise HttpError(f"Invalid JSON content: {error}") from None
