"""``tenuto check-replay``: would all that is unfinished go on with this code?

For the moment before a deployment, by hand or in CI. Replays every unfinished instance and carries
nothing out: no activity runs, and nothing is written.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tenuto.cli import terminal
from tenuto.cli.arguments import target_completion
from tenuto.cli.command import FAILED, WRONG_INPUT
from tenuto.cli.connection import Place, connected
from tenuto.cli.instances.documents import encoded
from tenuto.cli.instances.looking import json_option
from tenuto.engine.ports import LoadedInstance
from tenuto.host.settings import load_settings
from tenuto.insight.fit_words import fit_rows, summary
from tenuto.insight.fitting import FitCheck, FitReport, Misfit, check_histories, check_store
from tenuto.insight.histories import read_histories
from tenuto.model.errors import StorageError

if TYPE_CHECKING:
    from rich.console import Console

_FIRST_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 10.0
_LABEL: Final = len("instances")


@click.command("check-replay")
@click.argument("target", shell_complete=target_completion)
@click.option("--storage", help="Storage URL; by default that of the settings.")
@click.option(
    "--histories",
    type=click.Path(exists=True, path_type=Path),
    metavar="DIR",
    help="Histories that `tenuto instances export` wrote, instead of a store.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Most ids to name of each misfit; --json names all.",
)
@json_option
def check_replay(
    target: str, storage: str | None, histories: Path | None, limit: int, *, as_json: bool
) -> int:
    """Find out which unfinished instances would not go on with the code of an app.

    TARGET is a file or module, as for `tenuto start`. Every unfinished instance is replayed; no
    activity runs and nothing is written, so it may be asked of a store whose host runs, or of a
    copy. The exit code is 0 when all would go on, 1 when some would be held, 2 when the check
    could not be made.
    """
    if storage is not None and histories is not None:
        raise click.UsageError("give --storage or --histories, not both")
    from tenuto.host.checking import fit_check
    from tenuto.host.loading import load_app

    settings = load_settings(storage=storage, given_as="option --{}").values
    with contextlib.ExitStack() as stack:
        if as_json:
            # What user code prints must not get into the document.
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        check = fit_check(load_app(target).app, settings)
        if histories is None:
            try:
                report = asyncio.run(_of_store(check, Place(storage=storage)))
            except StorageError as error:  # 1 would say that somebody does not fit
                terminal.complain(str(error), error.code)
                return WRONG_INPUT
        else:
            report = check_histories(check, _counted(read_histories(histories)))
    if as_json:
        terminal.say(encoded(fit_document(report)))
    else:
        show_report(terminal.console(), report, limit)
        terminal.say(summary(report))
        if not report.fits:
            terminal.note(
                "a host with this code holds these and loses nothing of them; they go on when code "
                "that fits is there: see the page Changing code of the documentation"
            )
    return 0 if report.fits else FAILED


async def _of_store(check: FitCheck, place: Place) -> FitReport:
    async with connected(place) as connection:
        assert connection.storage is not None, "no address was given"
        return await check_store(check, connection.storage, on_progress=Progress())


def _counted(histories: Iterator[LoadedInstance]) -> Iterator[LoadedInstance]:
    progress = Progress()
    for number, loaded in enumerate(histories, 1):
        yield loaded
        progress(number)


class Progress:
    """Says on standard error how many were looked at, when that takes long."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _FIRST_SECONDS

    def __call__(self, looked_at: int) -> None:
        """So many were looked at."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _PAUSE_SECONDS
            terminal.note(f"{looked_at:,} instances looked at")


def show_report(output: "Console", report: FitReport, most_ids: int) -> None:
    """The report, with long texts folded behind their labels."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    for indent, label, text in fit_rows(report, most_ids):
        if not label:
            terminal.show(output, Text(text, "bold"))
            continue
        row = Table.grid(padding=(0, 2, 0, 0))
        row.add_column(style="dim", width=_LABEL)
        row.add_column(overflow="fold")
        row.add_row(label, Text(text))
        terminal.show(output, Padding(row, (0, 0, 0, 2 * indent), expand=False))


def fit_document(report: FitReport) -> dict[str, Any]:
    """The report for machines."""
    return {
        "fits": report.fits,
        "goesOn": report.goes_on,
        "held": report.held,
        "orchestrators": [
            {
                "name": one.name,
                "version": one.version,
                "goesOn": one.goes_on,
                "heldNow": one.held_now,
                "held": one.held,
                "misfits": [_misfit(misfit) for misfit in one.misfits],
            }
            for one in report.orchestrators
        ],
    }


def _misfit(misfit: Misfit) -> dict[str, Any]:
    return {
        "reason": misfit.reason,
        "message": misfit.message,
        "recorded": misfit.recorded,
        "produced": misfit.produced,
        "instanceIds": misfit.instance_ids,
    }
