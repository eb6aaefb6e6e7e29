"""The recorded histories of each release, and how they are replayed with today's code.

Run as a script it reads file names as JSON and answers what was wrong with each.
"""

import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tenuto.functions.registry import FunctionRegistry
from tenuto.model.actions import Action
from tenuto.model.codec import decode_turn
from tenuto.model.events import ExecutionTerminated, HistoryEvent
from tenuto.model.execution import ExecutionInfo
from tenuto.model.facts import facts_of_row
from tenuto.model.limits import Limits
from tenuto.model.status import InstanceRecord
from tenuto.orchestration.guard.calls import CallWatch
from tenuto.orchestration.replay import replay, split_turn
from tenuto.orchestration.session import Session

FOLDER = Path(__file__).resolve().parents[1] / "replay" / "histories"


def files() -> list[Path]:
    """The histories of all releases."""
    return sorted(FOLDER.glob("*/*.json"))


def functions_of(path: Path) -> FunctionRegistry:
    """The functions whose histories a file holds: ``programs_0_1`` for ``histories/0.1``."""
    release = path.parent.name.replace(".", "_")
    app: FunctionRegistry = importlib.import_module(f"tests.replay.programs_{release}").app
    return app


def replay_file(path: Path) -> int:
    """Replay every instance of a file; gives how many turns were compared.

    Raises:
        NonDeterminismError: with what was recorded and what is decided today.
        AssertionError: the same work, but with another input, time, result or failure.
    """
    functions = functions_of(path)
    return sum(_replay_instance(functions, entry) for entry in json.loads(path.read_text()))


def _replay_instance(functions: FunctionRegistry, entry: dict[str, Any]) -> int:
    record = msgspec.convert(entry["instance"], InstanceRecord)
    turns = [list(decode_turn(json.dumps(turn))) for turn in entry["turns"]]
    if any(isinstance(event, ExecutionTerminated) for event in turns[-1]):
        del turns[-1]  # that end was not the code's
    info = ExecutionInfo(facts=facts_of_row(record), limits=Limits())
    orchestrator = functions.get_orchestrator(record.name)

    def open_session(trace: bool) -> Session:
        return Session(info, orchestrator, functions, trace=trace, watch=CallWatch(1))

    replay(turns, open_session).close()
    _compare_to_the_letter(turns, open_session(False))
    return len(turns)


def _compare_to_the_letter(turns: Sequence[Sequence[HistoryEvent]], session: Session) -> None:
    try:
        for turn in turns:
            recorded = split_turn(turn)
            produced = session.run_turn(recorded.timestamp, recorded.incoming, replaying=True)
            assert _plain(produced.actions) == _plain(recorded.actions)
    finally:
        session.close()


def _plain(actions: Sequence[Action]) -> Any:  # noqa: ANN401 - JSON
    return _without_traces(json.loads(msgspec.json.encode(actions)))


def _without_traces(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, list):
        return [_without_traces(one) for one in value]
    if isinstance(value, dict):
        return {key: _without_traces(one) for key, one in value.items() if key != "stackTrace"}
    return value


def main() -> None:
    """Answer one request."""
    wrong: dict[str, str] = {}
    for name in json.load(sys.stdin):
        try:
            replay_file(Path(name))
        except Exception as error:  # noqa: BLE001 - told to whoever asked
            wrong[name] = repr(error)
    json.dump(wrong, sys.stdout)


if __name__ == "__main__":
    main()
