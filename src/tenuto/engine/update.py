"""One live update: what a committed batch says of one instance.

Made from the rows as they were written: the state in memory may be ahead of them, and nobody may
see that (``durable_before_visible``). Pure.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Final

from msgspec import Struct, structs

from tenuto.engine.batch import Batch
from tenuto.engine.resident import Resident
from tenuto.engine.turns.step import Step
from tenuto.model.failure import FailureDetails
from tenuto.model.ids import InstanceId
from tenuto.model.status import InstanceRecord

BEFORE_FIRST: Final = -1
"""The turn of an update that comes before the first turn: a row was inserted."""


class Update(Struct, frozen=True, kw_only=True):
    """One step of one instance, or the word that steps are missing.

    Attributes:
        position: Where to go on after this one: ``subscribe(after=position)``.
        instance_id: Who moved on; empty when everything must be read anew.
        generation: Counts the instance's executions (continue-as-new, restart).
        turn: Which turn of the generation was committed; -1 before its first.
        record: The instance's row if it has changed, without input, output and stack traces.
        has_ended: The turn was the last one.
        is_purged: The instance is no more.
        is_reset: Updates are missing before this one: read anew, then go on listening.
    """

    position: str
    instance_id: InstanceId = InstanceId("")
    generation: int = 0
    turn: int = BEFORE_FIRST
    record: InstanceRecord | None = None
    has_ended: bool = False
    is_purged: bool = False
    is_reset: bool = False


def updates_of(
    batch: Batch, refused: AbstractSet[int], wanted: AbstractSet[InstanceId] | None
) -> Iterator[Update]:
    """One for each turn of a batch, in its order; ``wanted`` are instance ids, None for all."""
    last: dict[int, int] = {}
    for index, (resident, turn) in enumerate(batch.turns):
        if _tells(turn):
            last[resident.state.iid] = index
    for record in (*batch.instances.values(), *batch.replaced.values()):
        if (
            record.iid not in last
            and record.iid not in refused
            and (wanted is None or record.instance_id in wanted)
        ):
            yield new_row(record)
    for index, (resident, turn) in enumerate(batch.turns):
        state = resident.state
        if not _tells(turn) or state.iid in refused:
            continue
        if wanted is not None and state.instance_id not in wanted:
            continue
        is_last = last[state.iid] == index
        number = turn.number if turn.events else turn.number - 1
        yield Update(
            position=place(turn.generation, number),
            instance_id=state.instance_id,
            generation=turn.generation,
            turn=number,
            record=_row(batch, resident, turn.generation) if is_last else None,
            has_ended=turn.has_ended and not turn.seed,
            is_purged=turn.inbox.purge,
        )


def _tells(turn: Step) -> bool:
    """Whether there is something to tell: a hold changes the row and is no event."""
    return bool(turn.events or turn.row_changed or turn.inbox.purge)


def _row(batch: Batch, resident: Resident, generation: int) -> InstanceRecord | None:
    """The row as this batch has written it. The state in memory may be ahead of it."""
    state = resident.state
    whole = batch.replaced.get(state.iid) or batch.instances.get(state.iid)
    if whole is not None:
        return summary(whole)
    change = batch.updates.get(state.iid)
    if change is None or state.facts.generation != generation:
        return None  # with the next generation the whole row comes in the next batch
    return summary(
        structs.replace(
            state.record(),
            status=change.status,
            wake_at=change.wake_at,
            updated_at=change.updated_at,
            completed_at=change.completed_at,
            failure=change.failure,
            custom_status=change.custom_status,
            hold=change.hold,
        )
    )


def new_row(record: InstanceRecord) -> Update:
    """The update of an instance that stands in the store and has taken no turn."""
    return Update(
        position=place(record.generation, BEFORE_FIRST),
        instance_id=record.instance_id,
        generation=record.generation,
        record=summary(record),
    )


def summary(record: InstanceRecord) -> InstanceRecord:
    """Without what can be large and belongs to one instance's own page."""
    failure = record.failure
    if failure is not None:
        failure = FailureDetails(failure.error_type, failure.error_message)
    return structs.replace(record, input=None, output=None, failure=failure)


def size_of(update: Update) -> int:
    """Roughly the bytes of what may be long in it."""
    record = update.record
    if record is None:
        return 0
    size = len(record.custom_status or "")
    return size if record.failure is None else size + len(record.failure.error_message)


def place(generation: int, turn: int) -> str:
    """The position of a turn among those of its instance."""
    return f"{generation}.{turn}"
