"""``tenuto key``: a key for callers of a server, and where it goes. Nothing is written anywhere."""

import json
import secrets
import shlex
import sys
from typing import Final

import click

from tenuto.cli import terminal
from tenuto.cli.instances.documents import encoded
from tenuto.cli.instances.looking import json_option
from tenuto.http.options import Role

_BYTES: Final = 32


@click.command()
@click.option("--name", default="operator", show_default=True, help="What the key is called.")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.OPERATE.value,
    show_default=True,
    help="What it allows.",
)
@json_option
def key(name: str, role: str, *, as_json: bool) -> None:
    """Make a key for callers of a server: 256 random bits, shown once and kept nowhere.

    Standard output is the key alone; how to use it is said on standard error.
    """
    made = secrets.token_urlsafe(_BYTES)
    settings = json.dumps({name: {"key": made, "role": role}})
    if as_json:
        document = {"key": made, "name": name, "role": role, "TENUTO_HTTP_KEYS": settings}
        terminal.say(encoded(document))
        return
    terminal.say(made)
    for line in (
        f"this key may {_MAY[Role(role)]}; it is shown once. Where the server starts:",
        f"  export TENUTO_HTTP_KEYS={shlex.quote(settings)}",
        "where it is called from (curl sends it as header x-functions-key):",
        f"  export TENUTO_HTTP_KEY={made}",
        "keep both out of version control: .env, or a file that only the server's user can read",
    ):
        terminal.say(line, sys.stderr)


_MAY: Final = {
    Role.READ: "look",
    Role.OPERATE: "look, start and steer",
    Role.ADMIN: "do everything, purge included",
}
