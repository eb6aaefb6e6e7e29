"""``tenuto files``: files of folders whose functions have failed."""

import click

from tenuto.cli.connection import Place, place_options
from tenuto.cli.failed_deliveries import Origin, drop_failed, redrive_failed, show_failed
from tenuto.cli.instances.looking import json_option

_limit_option = click.option(
    "--limit", type=click.IntRange(min=1, max=1_000), default=20, show_default=True, help="Most."
)
_ids_argument = click.argument("ids", metavar="[NUMBER]...", nargs=-1)
_all_option = click.option("--all", "everything", is_flag=True, help="All that there are now.")
_function_option = click.option("--function", help="Only of this function.")
_yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


@click.command()
@click.argument("function", metavar="[FUNCTION]", required=False)
@_limit_option
@place_options
@json_option
def failed(function: str | None, limit: int, *, place: Place, as_json: bool) -> None:
    """List files that were put aside, of FUNCTION or of all, oldest first."""
    show_failed(place, _origin(function), limit, as_json=as_json)


@click.command()
@_ids_argument
@_all_option
@_function_option
@place_options
@json_option
def redrive(
    ids: tuple[str, ...],
    *,
    everything: bool,
    function: str | None,
    place: Place,
    as_json: bool,
) -> None:
    """Give files that were put aside to their function again, by NUMBER or --all of them.

    They have all attempts again.
    """
    redrive_failed(place, _origin(function), ids, everything=everything, as_json=as_json)


@click.command()
@_ids_argument
@_all_option
@_function_option
@_yes_option
@place_options
@json_option
def drop(
    ids: tuple[str, ...],
    *,
    everything: bool,
    function: str | None,
    yes: bool,
    place: Place,
    as_json: bool,
) -> int:
    """List files no longer that were put aside, by NUMBER or --all, which asks first.

    The files themselves stay where they are, and do not run again unless they change.
    """
    origin = _origin(function)
    return drop_failed(place, origin, ids, everything=everything, yes=yes, as_json=as_json)


def _origin(function: str | None) -> Origin:
    return Origin(source="files", function=function)
