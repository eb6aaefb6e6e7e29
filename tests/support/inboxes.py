"""What waits in the inboxes of a store, all partitions together."""

from tenuto.engine.ports import Storage
from tenuto.engine.rows import InboxRow


async def waiting_in(storage: Storage) -> list[InboxRow]:
    """Every waiting message, oldest first within its partition."""
    rows: list[InboxRow] = []
    for partition in range((await storage.open()).partitions):
        after: str | None = None
        while True:
            page = await storage.load_partition(partition, after, 1_000)
            rows += page.rows
            after = page.after
            if after is None:
                break
    return rows
