"""Commands that are imported when they are called, and groups that guess what was misspelled."""

from collections.abc import Iterator
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Final

import click

from tenuto.model.errors import PayloadError
from tenuto.model.texts import check_unicode

_ROOM: Final = "tenuto.cli"


class LazyCommand(click.Command):
    """Stands for a command in a module of its own until it is called.

    Args:
        name: Its name.
        target: Where the command itself is, in this room: ``running.run:run``.
        help: Its line in the list of commands.
        is_listed: Whether what stands there are several commands, by name.
        takes_paths: Whether an argument may name a file, which need not be UTF-8. All others are
            texts, which must be.
    """

    def __init__(
        self,
        name: str,
        target: str,
        help: str,  # noqa: A002 - click's word
        *,
        is_listed: bool = False,
        takes_paths: bool = False,
    ) -> None:
        super().__init__(name, help=help)
        self._target = target
        self._is_listed = is_listed
        self._takes_paths = takes_paths

    def load(self) -> click.Command:
        """The command itself, imported now."""
        module, _, attribute = self._target.partition(":")
        found = getattr(import_module(f"{_ROOM}.{module}"), attribute)
        command: click.Command = found[self.name] if self._is_listed else found
        return command

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """The context of the command itself: from here on, this one is out of the way."""
        context = self.load().make_context(info_name, args, parent, **extra)
        if not self._takes_paths and not context.resilient_parsing:
            _refuse_what_is_no_text(context)
        return context


def _refuse_what_is_no_text(context: click.Context) -> None:
    """Refuse bytes that are not UTF-8: Python hands them on as halves of surrogate pairs.

    Here for all commands, before one of them has done anything.
    """
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        for text in _texts_in(value):
            try:
                check_unicode(text, "it")
            except PayloadError:
                raise click.BadParameter(f"{text!r} is not UTF-8", context, parameter) from None


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        yield from value.values()
    elif isinstance(value, tuple):
        yield from value


class GuessingGroup(click.Group):
    """A group that names the nearest command when there is none of that name."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Without arguments the help, as for a usage error: nothing was done."""
        if not args and not ctx.resilient_parsing:  # as a shell that completes words does
            click.echo(ctx.get_help())
            ctx.exit(2)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first argument names."""
        name = args[0]
        is_misspelled = name not in self.commands and not name.startswith("-")
        if is_misspelled and not ctx.resilient_parsing:
            close = get_close_matches(name, self.commands, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {self._listed()}"
            raise click.UsageError(f"no command {name!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def _listed(self) -> str:
        return ", ".join(self.commands)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the order in which they were added, which is that of use."""
        return sorted(super().list_commands(ctx), key=list(self.commands).index)
