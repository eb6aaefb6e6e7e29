"""The doctor's look at a store finds rows that belong to nothing, and leaves legal states alone."""

from pathlib import Path

from msgspec import Raw

from tenuto.cli.findings import Level, store_findings
from tenuto.engine.rows import InboxRow
from tenuto.model.codec import encode
from tenuto.model.events import ExecutionStarted
from tenuto.model.ids import ExecutionId, InstanceId, MessageId
from tenuto.model.messages import Start
from tenuto.model.status import RuntimeStatus
from tenuto.storage.sqlite import SqliteStorage
from tenuto.storage.sqlite.examination import examine
from tests.conformance.storage_suite import FINISHED, Owner, message, record, turn


async def test_a_history_without_its_instance_and_the_other_way_round(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    owner = await Owner.of(SqliteStorage(path))
    await owner.commit(
        instances=[record(1, status=RuntimeStatus.RUNNING), record(2), record(3, "gone")],
        history=[turn(1, 0), turn(7, 0), turn(7, 1)],
    )
    ended = [record(10 + status, status=status) for status in FINISHED]
    await owner.commit(instances=ended, inbox=[message("m", "nobody")])
    await owner.storage.close()

    found = examine(str(path), now=0)
    assert found.lost_histories == [7]
    assert found.without_history == [one.instance_id for one in sorted(ended, key=lambda r: r.iid)]
    assert found.lost_messages == ["nobody"]
    told = [one for one in store_findings(found, 0, full=False) if one.level is not Level.OK]
    texts = "\n".join(one.text for one in told)
    assert "history without its instance: number 7" in texts
    assert "have no history: 'instance-11', " in texts
    assert "do not exist: 'nobody'" in texts
    assert sum(one.level is Level.WRONG for one in told if "history" in one.text) == 2


async def test_legal_states_are_no_finding(tmp_path: Path) -> None:
    """Pending ones, some suspended; the next generation before its first turn; starts that wait."""
    path = tmp_path / "hub.db"
    owner = await Owner.of(SqliteStorage(path))
    await owner.storage.start_instance(record(0, "from outside"))
    suspended = RuntimeStatus.SUSPENDED
    await owner.commit(instances=[record(9, status=suspended, scheduled_at=10**18)])
    await owner.commit(
        instances=[record(1), record(2, status=RuntimeStatus.RUNNING), record(3)],
        history=[turn(2, 0), turn(3, 0)],
        inbox=[_start("new"), message("m", "instance-1")],
    )
    again = record(2, generation=1, status=RuntimeStatus.RUNNING)
    await owner.commit(replaced=[again], purged=[3])
    await owner.storage.close()
    found = examine(str(path), now=0)
    assert (found.lost_histories, found.without_history, found.lost_messages) == ([], [], [])


def _start(instance_id: str) -> InboxRow:
    event = ExecutionStarted("hello", ExecutionId("execution"))
    start = Start(message_id=MessageId("s"), event=event)
    return InboxRow(MessageId("s"), 0, InstanceId(instance_id), Raw(encode(start)))
