"""Repeats recorded runs of random programs in another process, and says what came out otherwise.

Started by the tests with another hash seed, or by another Python::

    PYTHONPATH=src:. python tests/support/replay_worker.py < REQUEST > ANSWER

The request is a JSON object: records to ``repeat``, records to compare with the ``stock`` event
loop, a range of seeds to ``record`` anew. The answer holds the differences, and what was recorded.
"""

import gc
import json
import random
import sys
from collections.abc import Iterator
from typing import Any

from tests.support.program_grammar import grow_program
from tests.support.program_runs import Record, record_run, repeat, repeat_with_crashes
from tests.support.stock_runs import stock_notes


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    answer = {
        "differences": [*_repeated(request["repeat"]), *_compared(request["stock"])],
        "recorded": [record_of_seed(seed) for seed in range(*request["record"])],
    }
    json.dump(answer, sys.stdout)


def record_of_seed(seed: int) -> Record:
    """The run that a seed stands for, the same on every Python."""
    chance = random.Random(seed)
    return record_run(grow_program(chance.randrange), chance.randrange)


def _repeated(records: list[Record]) -> Iterator[dict[str, Any]]:
    """Repeat all records, each on a heap that the others left in disorder."""
    disorder = _Disorder(random.Random())
    for record in records:
        disorder.stir()
        wanted = [turn["seen"] for turn in record["turns"]]
        cuts = {number for number in range(1, len(wanted)) if disorder.chance.random() < 0.3}
        yield from _difference("replayed", record, wanted, repeat(record))
        yield from _difference("crashed", record, wanted, repeat_with_crashes(record, cuts))


def _compared(records: list[Record]) -> Iterator[dict[str, Any]]:
    for record in records:
        wanted = record["turns"][-1]["seen"]["notes"]
        yield from _difference("stock", record, wanted, stock_notes(record))


def _difference(
    way: str, record: Record, wanted: list[Any], seen: list[Any]
) -> Iterator[dict[str, Any]]:
    seen = json.loads(json.dumps(seen))
    if seen == wanted:
        return
    pairs = enumerate(zip(wanted, seen, strict=False))
    place = next((index for index, (old, new) in pairs if old != new), min(len(wanted), len(seen)))
    yield {
        "python": sys.version.split()[0],
        "way": way,
        "place": place,
        "wanted": wanted[place : place + 1],
        "seen": seen[place : place + 1],
        "program": record["program"],
    }


class _Disorder:
    """Scatters new objects over the heap, and lets the collector come at other times."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self._rubble: list[object] = []

    def stir(self) -> None:
        """Before each record."""
        chance = self.chance
        for _ in range(chance.randrange(200)):
            self._rubble.append([bytes(chance.randrange(1, 700)), {chance.random(): object()}])
        chance.shuffle(self._rubble)
        del self._rubble[chance.randrange(1, 300) :]
        gc.set_threshold(chance.choice((1, 7, 100, 700, 10_000)), 10, 10)


if __name__ == "__main__":
    main()
