"""Record the histories of this release, once, with the real engine.

    PYTHONPATH=src:. python tests/replay/record_histories.py [--again]

Writes one file per scenario of the newest ``programs_*`` module. A file that exists is left alone,
because what a release has recorded is kept for ever; ``--again`` is for the time before a release.
Tracebacks are left out: they name the folders of whoever recorded.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from tenuto import Settings
from tenuto.http.options import HttpSettings
from tenuto.model.requests import InstanceQuery
from tenuto.testing import TestHost
from tests.replay import programs_0_1 as programs

FOLDER = Path(__file__).parent / "histories" / "0.1"
SETTINGS = Settings(http=HttpSettings(base_url="https://flows.example.org"))


def main(arguments: list[str]) -> None:
    """Record what is missing."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in programs.SCENARIOS:
        path = FOLDER / f"{name}.json"
        if path.exists() and "--again" not in arguments:
            continue
        instances = asyncio.run(_record(name))
        path.write_text(json.dumps(instances, indent=1) + "\n")


async def _record(name: str) -> list[dict[str, Any]]:
    async with TestHost(programs.app, settings=SETTINGS) as test:
        await programs.SCENARIOS[name](test)
        await test.idle(with_activities=False)
        storage = test.host.engine.storage
        page = await storage.query(InstanceQuery(limit=1_000, order="oldest"))
        return [
            {
                "instance": _without_traces(msgspec.to_builtins(record)),
                "turns": [
                    _without_traces(json.loads(turn))
                    for turn in await storage.history(record.instance_id)
                ],
            }
            for record in page.records
        ]


def _without_traces(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, list):
        return [_without_traces(one) for one in value]
    if isinstance(value, dict):
        return {key: _without_traces(one) for key, one in value.items() if key != "stackTrace"}
    return value


if __name__ == "__main__":
    main(sys.argv[1:])
