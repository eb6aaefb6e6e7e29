"""How commands name an account of Azure Storage, and a task hub in it."""

from collections.abc import Callable
from typing import Any, Final

import click

CONNECTION_VARIABLE: Final = "TENUTO_AZURE_CONNECTION_STRING"
AnyFunction = Callable[..., Any]


def account_options(function: AnyFunction) -> AnyFunction:
    """Give a command ``connection_string`` and ``hub_name``. The first is a secret: never told."""
    named = click.option(
        "--task-hub",
        "hub_name",
        metavar="NAME",
        default="TenutoMirror",
        show_default=True,
        help="The task hub: letters and digits.",
    )(function)
    return click.option(
        "--connection-string",
        metavar="TEXT",
        envvar=CONNECTION_VARIABLE,
        show_envvar=True,
        required=True,
        help="Of the account; in the variable no list of processes shows it. "
        "UseDevelopmentStorage=true for an emulator.",
    )(named)
