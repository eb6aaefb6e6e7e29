"""Who is told when partitions come and go."""

from collections.abc import Awaitable, Callable

from tenuto.engine.rows import Lease


class Moves:
    """Whom an engine tells.

    Attributes:
        owned: Called when partitions have become ours.
        giving: Called with the number of a partition that is to be another host's, and how many
            seconds what runs may take to end. What it gives is awaited.
        lost: Called with the lease of a partition that another host has taken.
        dropped: Called when a partition is not ours any more, given away or lost.
    """

    def __init__(self) -> None:
        self.owned: list[Callable[[], None]] = []
        self.giving: list[Callable[[int, float], Awaitable[None]]] = []
        self.lost: list[Callable[[Lease], None]] = []
        self.dropped: list[Callable[[], None]] = []
