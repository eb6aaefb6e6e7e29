"""What every store does with a commit batch before it writes one: whose its rows are."""

from typing import Any, Final, Literal

import msgspec
from msgspec import Struct, field

from tenuto.engine.rows import CommitBatch
from tenuto.model.errors import RowsRefusedError

_OF_INSTANCES: Final = (
    "instances",
    "replaced",
    "updates",
    "history",
    "forget",
    "unread",
    "links",
    "topic_waits",
)
"""Lists whose rows say whose they are."""


class Unit(Struct):
    """Rows that stand or fall together, and whose they are."""

    kind: Literal["instances", "messages", "letters"]
    key: Any
    rows: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, name: str, row: object) -> None:
        """One more row, of this list of a batch."""
        self.rows.setdefault(name, []).append(row)


def units_of(batch: CommitBatch) -> list[Unit]:
    """The rows of a batch, each with those that share its fate."""
    instances: dict[int, Unit] = {}
    messages: dict[str, Unit] = {}
    letters: list[Unit] = []
    for name in _OF_INSTANCES:
        for row in getattr(batch, name):
            unit = instances.setdefault(row.iid, Unit("instances", row.iid))
            unit.add(name, row)
    for name in ("inbox", "answers"):
        for row in getattr(batch, name):
            unit = messages.setdefault(row.message_id, Unit("messages", row.message_id))
            unit.add(name, row)
    for name in ("published", "queued"):
        for row in getattr(batch, name):
            if row.iid:
                unit = instances.setdefault(row.iid, Unit("instances", row.iid))
            else:
                unit = messages.setdefault(row.post_key, Unit("messages", row.post_key))
            unit.add(name, row)
    for key in batch.consumed:
        messages.setdefault(key[1], Unit("messages", key[1])).add("consumed", key)
    for number, letter in enumerate(batch.dead_letters):
        unit = Unit("letters", number)
        unit.add("dead_letters", letter)
        letters.append(unit)
    return [*instances.values(), *messages.values(), *letters]


def without(
    batch: CommitBatch,
    refused: frozenset[int],
    standing: frozenset[int],
    kept: frozenset[tuple[int, str]],
) -> CommitBatch:
    """The batch without the refused iids; of ``standing`` ones only the new row is left out.

    Inbox rows name no iid. They stay: a message to the id of a refused instance is for whoever
    stands under that id. Likewise the ``kept`` messages, which only refused instances could have
    consumed, stay in the inbox, unanswered. So nothing is lost. What the refused have used does not
    count: nothing of them has happened.
    """
    unanswered = {message_id for _, message_id in kept}
    return msgspec.structs.replace(
        batch,
        instances=[row for row in batch.instances if row.iid not in refused | standing],
        replaced=[row for row in batch.replaced if row.iid not in refused],
        updates=[row for row in batch.updates if row.iid not in refused],
        history=[row for row in batch.history if row.iid not in refused],
        forget=[row for row in batch.forget if row.iid not in refused],
        unread=[row for row in batch.unread if row.iid not in refused],
        links=[row for row in batch.links if row.iid not in refused],
        purged=[iid for iid in batch.purged if iid not in refused],
        consumed=[key for key in batch.consumed if key not in kept],
        answers=[answer for answer in batch.answers if answer.message_id not in unanswered],
        published=[row for row in batch.published if row.iid not in refused],
        queued=[row for row in batch.queued if row.iid not in refused],
        topic_waits=[row for row in batch.topic_waits if row.iid not in refused],
        usage=batch.usage_without(refused) if refused else batch.usage,
    )


def collisions(batch: CommitBatch, taken: dict[str, int]) -> tuple[frozenset[int], frozenset[int]]:
    """New iids whose instance id is another's, and those that are in the store already.

    Args:
        batch: What is to be written.
        taken: Iids by instance id, of those ids of the batch that are in the store.
    """
    purged = frozenset(batch.purged)
    owners = {name: iid for name, iid in taken.items() if iid not in purged}
    refused, standing = set(), set()
    for record in batch.instances:
        owner = owners.setdefault(record.instance_id, record.iid)
        if owner != record.iid:
            refused.add(record.iid)
        elif taken.get(record.instance_id) == record.iid and record.iid not in purged:
            standing.add(record.iid)
    return frozenset(refused), frozenset(standing)


def refusal(url: str, found: list[tuple[Unit, str]]) -> RowsRefusedError | None:
    """What a store cannot hold of a batch, as the error to raise; None when that is nothing.

    Args:
        url: Of the store, or its path.
        found: Units and why they are refused.
    """
    if not found:
        return None
    reasons: dict[str, dict[Any, str]] = {"instances": {}, "messages": {}, "letters": {}}
    for unit, reason in found:
        reasons[unit.kind][unit.key] = reason
    unit, reason = found[0]
    count = len(found)
    others = f" and {count - 1:,} others" if count > 1 else ""
    return RowsRefusedError(
        f"the store {url!r} cannot hold rows of {unit.kind} {unit.key!r}{others}: {reason}; "
        "nothing was written",
        instances=reasons["instances"],
        messages=reasons["messages"],
        letters=reasons["letters"],
    ).told_as(f"the store cannot hold this: {reason}; nothing was written")
