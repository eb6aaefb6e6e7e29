"""A group of commands that are imported when they are called, and guessed when misspelled."""

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group whose commands live in modules of their own.

    Args:
        commands_at: Where each command is (``tenuto.cli.run:run``) and its line in the help, by
            name, in the order of the help.
        **attributes: Those of ``click.Group``.
    """

    def __init__(self, *, commands_at: Mapping[str, tuple[str, str]], **attributes: Any) -> None:
        super().__init__(**attributes)
        self._commands_at = commands_at

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Without arguments the help, as for a usage error: nothing was done."""
        if not args:
            click.echo(ctx.get_help())
            ctx.exit(2)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in the order given."""
        return list(self._commands_at)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The command, imported now."""
        if cmd_name not in self._commands_at:
            return None
        module, _, attribute = self._commands_at[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first argument names, or an error that names the nearest one."""
        name = args[0]
        if name not in self._commands_at and not name.startswith("-"):
            close = get_close_matches(name, self._commands_at, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {self._listed()}"
            raise click.UsageError(f"no command {name!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """The list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self._commands_at.items()])

    def _listed(self) -> str:
        return ", ".join(self._commands_at)
