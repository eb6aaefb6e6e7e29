"""``tenuto files``: files of folders whose functions have failed."""

import click

from tenuto.cli.connection import Place, place_options
from tenuto.cli.failed_deliveries import (
    Chosen,
    Origin,
    drop_failed,
    redrive_failed,
    show_failed,
    which_options,
)
from tenuto.cli.instances.looking import json_option

_limit_option = click.option(
    "--limit", type=click.IntRange(min=1, max=1_000), default=20, show_default=True, help="Most."
)
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
@which_options
@_function_option
@place_options
@json_option
def redrive(*, chosen: Chosen, function: str | None, place: Place, as_json: bool) -> int:
    """Give files that were put aside to their function again, by NUMBER or --all of them.

    They have all attempts again.
    """
    return redrive_failed(place, _origin(function), chosen, as_json=as_json)


@click.command()
@which_options
@_function_option
@_yes_option
@place_options
@json_option
def drop(*, chosen: Chosen, function: str | None, yes: bool, place: Place, as_json: bool) -> int:
    """List files no longer that were put aside, by NUMBER or --all, which asks first.

    The files themselves stay where they are, and do not run again unless they change.
    """
    return drop_failed(place, _origin(function), chosen, yes=yes, as_json=as_json)


def _origin(function: str | None) -> Origin:
    return Origin(source="files", function=function)
