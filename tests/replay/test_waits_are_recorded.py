"""What an instance waits for stands in its history, after each of its turns.

Else ``explain`` would say of one that waits that nothing can bring what it waits for.
"""

from pathlib import Path

import msgspec
import pytest

from tenuto.insight.steps import run_of
from tenuto.model.codec import decode_turn
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tests.support.recorded_histories import files


class _Recorded(msgspec.Struct):
    instance: InstanceRecord
    turns: list[msgspec.Raw]


@pytest.mark.parametrize("path", files(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_after_each_turn_a_history_says_what_is_awaited(path: Path) -> None:
    for entry in msgspec.json.decode(path.read_bytes(), type=list[_Recorded]):
        record = msgspec.structs.replace(entry.instance, status=RuntimeStatus.RUNNING)
        turns = [decode_turn(bytes(turn)) for turn in entry.turns]
        for count in range(1, len(turns) + 1):
            run = run_of(record, turns[:count])
            assert run.open_steps() or not run.is_telling, (record.instance_id, count)
