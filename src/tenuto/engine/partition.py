"""What the owner of a partition keeps of it in memory, besides its instances."""

from tenuto.engine.ports import Lease


class Partition:
    """A partition owned by this host.

    Attributes:
        lease: The right to commit for it.
        cursor: How far its inbox has been read.
        open_by_root: Unfinished instances, wherever they stand, below each root that stands here.
    """

    def __init__(self, lease: Lease, cursor: int) -> None:
        self.lease = lease
        self.cursor = cursor
        self.open_by_root: dict[str, int] = {}

    def count_child(self, root_id: str, change: int) -> None:
        """So many more descendants of the root are open; a negative number of those that ended."""
        count = self.open_by_root.get(root_id, 0) + change
        if count > 0:
            self.open_by_root[root_id] = count
        else:
            self.open_by_root.pop(root_id, None)
