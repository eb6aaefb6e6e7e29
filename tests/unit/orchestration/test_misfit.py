"""Why data do not fit, in few words: it goes into history and to whoever sent them."""

import pytest

from tenuto import PayloadError
from tenuto.orchestration.tasks import misfit


@pytest.mark.parametrize(
    ("error", "path", "reason"),
    [
        (PayloadError("is no day", path="$.day"), "$.day", "is no day"),
        (PayloadError("x" * 5_000, path="$.day"), "$.day", "x" * 1_000 + "..."),
        (ValueError("y" * 5_000), "$", "does not fit: ValueError: " + "y" * 974 + "..."),
    ],
)
def test_the_reason_is_short_and_names_the_place(error: Exception, path: str, reason: str) -> None:
    found = misfit(error, "event 'go'")
    assert (found.path, found.reason, found.owner) == (path, reason, "event 'go'")
