"""Whether code still fits recorded histories: the replay check as a test.

The same check as ``tenuto check-replay --histories``: what it lets pass goes on with a host, what
it refuses a host would hold.
"""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from tenuto.host.checking import fit_check
from tenuto.host.programs import Hosted
from tenuto.host.settings import Settings
from tenuto.insight.fit_words import fit_lines
from tenuto.insight.fitting import check_histories as check_files
from tenuto.insight.histories import read_histories

T = TypeVar("T")

_NAMED: Final = 20


def check_histories(app: Hosted, histories: str | Path, *, settings: Settings | None = None) -> int:
    """Replay recorded histories against the code of an app; nothing of it is carried out.

    Args:
        app: The functions.
        histories: A folder, or one file, that ``tenuto instances export`` wrote.
        settings: Limits, and how often the guard looks; by default those of a host.

    Returns:
        How many histories were replayed.

    Raises:
        AssertionError: a host with this code would hold some of these instances; names them, with
            what was recorded and what the code does now.
        InputError: there are no histories, or one cannot be read.

    Example:
        ``check_histories(app, "tests/histories")``
    """
    report = _in_a_thread_of_its_own(
        lambda: check_files(fit_check(app, settings), read_histories(Path(histories)))
    )
    if not report.fits:
        raise AssertionError("\n".join(fit_lines(report, _NAMED)))
    return report.goes_on


def _in_a_thread_of_its_own(act: Callable[[], T]) -> T:
    """A test may be a task, in which no session runs (ENGINE rule 3)."""
    try:
        _ = asyncio.get_running_loop()
    except RuntimeError:
        return act()
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(act())
        except BaseException as error:  # noqa: BLE001 - raised where it was asked for
            errors.append(error)

    thread = threading.Thread(target=run, name="tenuto-replay")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
