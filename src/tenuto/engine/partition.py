"""What the owner of a partition keeps of it in memory, besides its instances."""

from tenuto.engine.ports import Lease


class Partition:
    """A partition owned by this host.

    Attributes:
        lease: The right to commit for it.
        cursor: How far its inbox has been read.
        open_by_root: Unfinished instances below each root.
    """

    def __init__(self, lease: Lease, open_by_root: dict[str, int], cursor: int) -> None:
        self.lease = lease
        self.cursor = cursor
        self.open_by_root = open_by_root

    def count_child(self, root_id: str, change: int) -> None:
        """A descendant of the root was started (1) or has ended (-1)."""
        count = self.open_by_root.get(root_id, 0) + change
        if count > 0:
            self.open_by_root[root_id] = count
        else:
            self.open_by_root.pop(root_id, None)
