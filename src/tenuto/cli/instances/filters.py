"""Which instances a command is about, as options that several commands share."""

import functools
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, TypeVar

import click

from tenuto.cli.arguments import since
from tenuto.model.requests import InstanceQuery
from tenuto.model.status import RuntimeStatus
from tenuto.model.timing import to_microseconds

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])

STATUSES: Final = {status.label: status for status in RuntimeStatus}


def filter_options(*, without_status: str) -> Callable[[AnyFunction], AnyFunction]:
    """Give a command the filters of a listing, as one argument ``query``, without payloads.

    Args:
        without_status: What the help says of a command without ``--status``.
    """

    def decorate(function: AnyFunction) -> AnyFunction:
        @click.option(
            "--status",
            "statuses",
            multiple=True,
            type=click.Choice(list(STATUSES), case_sensitive=False),
            help=f"Only these; may be given several times.{without_status}",
        )
        @click.option("--name", help="Only instances of this orchestrator.")
        @click.option("--prefix", help="Only ids that begin so.")
        @click.option("--held", is_flag=True, help="Only those that are held.")
        @click.option(
            "--since",
            "created_from",
            callback=since,
            metavar="2h|DATE",
            help="Only those started since then: 30s, 10m, 2h, 7d ago, or a date or time.",
        )
        @functools.wraps(function)
        def command(
            *arguments: Any,
            statuses: tuple[str, ...],
            name: str | None,
            prefix: str | None,
            held: bool,
            created_from: datetime | None,
            **others: Any,
        ) -> object:
            query = InstanceQuery(
                statuses=tuple(STATUSES[one] for one in statuses) or None,
                name=name,
                id_prefix=prefix,
                created_from=None if created_from is None else to_microseconds(created_from),
                held=True if held else None,
                payloads=False,
            )
            return function(*arguments, query=query, **others)

        return command  # type: ignore[return-value]  # click fills in the rest

    return decorate
