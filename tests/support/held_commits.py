"""What another process does at the worst moment: just before a host's commit is carried out."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from tenuto.engine.ports import Storage
from tenuto.engine.rows import CommitBatch, CommitResult


@contextmanager
def before_the_row_of(
    storage: Storage,
    instance_id: str,
    happens: Callable[[], Awaitable[object]],
    *,
    then: Callable[[], object] = lambda: None,
) -> Iterator[None]:
    """Let it happen once, when the new row of this instance is about to be written.

    ``then`` is called when it is, a moment before the host knows.
    """
    inner = storage.commit
    has_happened = False

    async def commit(batch: CommitBatch) -> CommitResult:
        nonlocal has_happened
        is_it = any(row.instance_id == instance_id for row in batch.instances)
        if is_it and not has_happened:
            has_happened = True
            await happens()
            result = await inner(batch)
            then()
            await asyncio.sleep(0)  # so that what ``then`` has let go is a little earlier
            return result
        return await inner(batch)

    setattr(storage, "commit", commit)  # noqa: B010 - mypy: a method is replaced
    try:
        yield
        assert has_happened, f"no row of {instance_id!r} was written"
    finally:
        delattr(storage, "commit")
