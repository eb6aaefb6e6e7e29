"""Names of queues, topics and subscriptions that a command is given: who names none that there is
hears which there are.
"""

from collections.abc import Iterable
from typing import Final

from tenuto.cli.connection import Connection
from tenuto.insight.wording import one_line
from tenuto.model.errors import InputError

_SHOWN: Final = 10


async def check_subscription(connection: Connection, name: str, topic: str | None = None) -> None:
    """See that there is such a subscription, of this topic if one is given.

    Raises:
        InputError: there is none.
    """
    found = await connection.gateway.topics.subscriptions()
    known = [one.name for one in found if topic in {None, one.topic}]
    of = "" if topic is None else f" of topic {topic!r}"
    _check(name, known, f"there is no subscription {name!r}{of}", "there are")


async def check_topic(connection: Connection, name: str) -> None:
    """See that a topic has events, or had some, or that somebody subscribes to it.

    Raises:
        InputError: nothing is known of it.
    """
    topics = connection.gateway.topics
    known = {one.name for one in await topics.all()}
    known |= {one.topic for one in await topics.subscriptions()}
    text = f"topic {name!r} has no events, and nobody subscribes to it"
    _check(name, known, text, "there are")


async def check_queue(connection: Connection, name: str) -> None:
    """See that a queue has messages, or some that were put aside: else nothing is known of it.

    Raises:
        InputError: it has none.
    """
    known = [one.name for one in await connection.gateway.queues()]
    text = f"queue {name!r} has no messages, and none that were put aside"
    _check(name, known, text, "such queues are")


def check_function(name: str, known: Iterable[str]) -> None:
    """See that files were put aside for a function.

    Raises:
        InputError: none were.
    """
    _check(name, known, f"no files of function {name!r} were put aside", "such functions are")


def _check(name: str, known: Iterable[str], unknown: str, those: str) -> None:
    names = sorted(set(known))
    if name in names:
        return
    shown = ", ".join(repr(one_line(one)) for one in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN:,} more" if names[_SHOWN:] else ""
    raise InputError(f"{unknown}; {those} {shown}{more}" if names else f"{unknown}, nor any other")
