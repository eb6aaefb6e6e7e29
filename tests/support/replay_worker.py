"""Repeats recorded runs of random programs in another process, and says what came out otherwise.

Started by the tests with another hash seed, or by another Python::

    PYTHONPATH=src:. python tests/support/replay_worker.py RECORDS

RECORDS is a JSON list of records. Prints a JSON object: the Python version, and for each record
that was not repeated its number, the turn, what was recorded and what was seen.
"""

import gc
import json
import random
import sys
from pathlib import Path
from typing import Any

from tests.support.program_runs import Record, repeat, repeat_with_crashes


def main(path: str) -> None:
    """Repeat all records, each on a heap that the others left in disorder."""
    records: list[Record] = json.loads(Path(path).read_text())
    disorder = _Disorder(random.Random())
    differences = []
    for number, record in enumerate(records):
        disorder.stir()
        difference = _difference(record, disorder)
        if difference is not None:
            differences.append({"record": number, **difference})
    print(json.dumps({"python": sys.version.split()[0], "differences": differences}))


def _difference(record: Record, disorder: "_Disorder") -> dict[str, Any] | None:
    wanted = [turn["seen"] for turn in record["turns"]]
    cuts = {number for number in range(1, len(wanted)) if disorder.chance.random() < 0.3}
    for way, seen in (
        ("replayed", repeat(record)),
        ("with crashes", repeat_with_crashes(record, cuts)),
    ):
        for turn, (old, new) in enumerate(zip(wanted, seen, strict=True)):
            if json.loads(json.dumps(new)) != old:
                return {"way": way, "turn": turn, "recorded": old, "seen": new}
    return None


class _Disorder:
    """Scatters new objects over the heap, and lets the collector come at other times."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self._rubble: list[object] = []

    def stir(self) -> None:
        chance = self.chance
        for _ in range(chance.randrange(200)):
            self._rubble.append([bytes(chance.randrange(1, 700)), {chance.random(): object()}])
        chance.shuffle(self._rubble)
        del self._rubble[chance.randrange(1, 300) :]
        gc.set_threshold(chance.choice((1, 7, 100, 700, 10_000)), 10, 10)


if __name__ == "__main__":
    main(sys.argv[1])
