"""See that tests notice when a guard of delivery is gone: each mutation must turn one red.

    python tools/mutations.py            # all
    python tools/mutations.py 3 7        # some, by number

Each is a small change of the engine that loses a message or takes one in twice, in some order of
events that is rare. It is made in a copy of the sources, and the engine's unit tests are run on
that, which are part of `make quick`, or the tests that it names. A mutation that no test notices,
or whose text is not in the sources any more, fails.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = "tests/unit/engine"
SECONDS = 300


@dataclass(frozen=True)
class Mutation:
    """A guard that is taken away.

    Attributes:
        name: What goes wrong then.
        file: In ``src/tenuto``.
        old: The text there, once.
        new: What stands there instead.
        tests: The file or folder of the tests that notice it.
    """

    name: str
    file: str
    old: str
    new: str
    tests: str = TESTS


MUTATIONS = [
    Mutation(
        "a copy of what is in an inbox is handed over again",
        "engine/delivery.py",
        """        if key in self._places:
            return False
        self._places[key] = Place.HERE""",
        """        self._places[key] = Place.HERE""",
    ),
    Mutation(
        "a copy of what is on its way sets out as well",
        "engine/delivery.py",
        """        if message_id in self._places:
            return False
        self._places[message_id] = _ARRIVING""",
        """        self._places[message_id] = _ARRIVING""",
    ),
    Mutation(
        "what its instance was read with arrives as well",
        "engine/delivery.py",
        """        if not self.is_arriving(key):
            return False
        self._places[key]""",
        """        self._places[key]""",
    ),
    Mutation(
        "what left memory with its instance is never taken in again",
        "engine/retention.py",
        """        resident.home.delivery.leaves(resident.held)
""",
        "",
    ),
    Mutation(
        "a page brings back what was used up while it was read",
        "engine/delivery.py",
        "return message_id in self._places or self._is_used_up(message_id)",
        "return message_id in self._places",
    ),
    Mutation(
        "an id is believed to be nobody's, though its instance came and went meanwhile",
        "engine/loader.py",
        "            if record is None and name in departed:\n",
        "            if record is None and name in ():\n",
    ),
    Mutation(
        "an answer to another attempt counts",
        "engine/turns/sorting.py",
        """        and call.sequence == answer.sequence
""",
        "",
    ),
    Mutation(
        "a timer that was set anew fires at its old time",
        "engine/turns/sorting.py",
        """        if work.timers.get(task_id) != message.event.fire_at:
            return None
""",
        """        if task_id not in work.timers:
            return None
""",
    ),
    Mutation(
        "work whose answer waits in the inbox runs again",
        "engine/release.py",
        " and not _is_answered(resident, work.sequence)\n",
        "\n",
    ),
    Mutation(
        "a successor begins before the old one has answered",
        "engine/starts.py",
        "        elif resident is not None and not resident.is_idle:\n",
        "        elif resident is not None and resident.works:\n",
    ),
    Mutation(
        "who reads a page does not hear of what is used up meanwhile",
        "engine/pipeline.py",
        "            self.used_up.update(batch.consumed)\n",
        "            pass\n",
    ),
    Mutation(
        "a start that is read anew while it is being decided is decided twice",
        "engine/delivery.py",
        "for key, one in self._places.items() if one is deciding",
        "for key, one in self._places.items() if one is None",
    ),
    Mutation(
        "what was decided under a lease that was lost is written under the next",
        "engine/lifecycle.py",
        """            engine.drop(number)
        # What""",
        """            pass
        # What""",
    ),
    Mutation(
        "a parent is not told of its child's id when the child's partition has gone",
        "engine/release.py",
        "            engine.takeback.owe(batch.instances[iid])\n",
        """            if child is not None:
                engine.takeback.owe(batch.instances[iid])
""",
    ),
    Mutation(
        "a page that was asked for under an older lease is routed",
        "engine/reading.py",
        """            if not engine.is_ours(home):
                continue
            if not""",
        """            home = engine.partitions.get(row.partition, home)
            if not""",
    ),
    Mutation(
        "a start in the inbox of a partition that has gone is refused",
        "engine/starts.py",
        "            if error is not None and not self._is_closed:\n",
        "            if error is not None:\n",
    ),
    Mutation(
        "whoever takes a partition waits for the end of all work",
        "engine/lifecycle.py",
        "        await engine.pipeline.passed()\n",
        "        await engine.pipeline.flush()\n",
    ),
    Mutation(
        "the times of all partitions count as read when those of one are",
        "engine/reading.py",
        "        if engine.partitions.keys() <= found.keys():\n",
        "        if found:\n",
    ),
    Mutation(
        "open descendants are counted again when everything is read anew",
        "engine/partition.py",
        """        self.open_by_root.clear()
""",
        "",
    ),
    Mutation(
        "a partition that is lost and taken again counts as served all the while",
        "engine/lifecycle.py",
        "self._note_served(leases))",
        "self._note_served(list(self._engine.pipeline.leases.values())))",
    ),
    Mutation(
        "care is taken of everybody",
        "engine/careful.py",
        "        if admitted is None or iid in admitted:\n",
        "        if admitted is not None and iid in admitted:\n",
    ),
    Mutation(
        "tries are noted of instances that are another host's",
        "engine/holding.py",
        "[one for one in residents if engine.is_ours(one.home)]",
        "[*residents]",
    ),
    Mutation(
        "callers of a partition that has gone wait for ever when its batch is refused",
        "engine/takeback.py",
        "                if engine.find(caller.instance_id) is not None:\n",
        "                if caller:\n",
    ),
    Mutation(
        "what a take has read in vain stays taken",
        "engine/lifecycle.py",
        "                await engine.storage.release(leases)\n            raise\n",
        "                pass\n            raise\n",
    ),
    Mutation(
        "two takes of one partition mix",
        "engine/lifecycle.py",
        "            async with self._taking:  # else a partition might be taken twice at once\n",
        "            if True:\n",
    ),
    Mutation(
        "what is sent while a partition is taken is overtaken",
        "engine/lifecycle.py",
        "            self._reading.route([row for row in late if row.partition in found])\n",
        "",
    ),
    Mutation(
        "what an instance has sent before it came to us is overtaken",
        "engine/lifecycle.py",
        "            await self._reading.catch_up()\n",
        "",
    ),
    Mutation(
        "a start that was read while its commit was in doubt is decided twice",
        "engine/release.py",
        "            if home is None or not home.delivery.is_known(row.message_id):\n",
        "            if home is None or row.message_id:\n",
    ),
    Mutation(
        "a parent is not told again when the word to it was taken back",
        "engine/takeback.py",
        """        for record in list(self._owed.values()):
            self.owe(record)
""",
        "",
    ),
    Mutation(
        "a partition that was taken meanwhile is brought up twice",
        "engine/reading.py",
        " and not homes[number].is_up:\n",
        ":\n",
    ),
    Mutation(
        "what is kept for an instance is written by who has lost it",
        "engine/batch.py",
        """        partitions.update(map(_PARTITION, map(_RESIDENT, self.put_by)))
""",
        "",
    ),
    Mutation(
        "a batch that is sent again has lost the fence of a partition that has gone",
        "engine/pipeline.py",
        "                flying.held.add(home.number)\n",
        "                pass\n",
    ),
    Mutation(
        "who uses a webhook from outside gets no answer",
        "engine/turns/sorting.py",
        "return RaiseEvent(message_id=key, awaits_answer=awaits_answer, event=event)",
        "return RaiseEvent(message_id=key, event=event)",
    ),
    Mutation(
        "the history of a child that replaces an instance has the id of another execution",
        "engine/starts.py",
        "message = structs.replace(message, event=event)",
        "pass",
    ),
    Mutation(
        "what was carried out is answered to who does not ask",
        "engine/batch.py",
        """            if message.awaits_answer:
                self.answers[key] = Answer(key)""",
        """            self.answers[key] = Answer(key)""",
    ),
    Mutation(
        "what was refused is answered to who does not ask",
        "engine/batch.py",
        "if key is not None and message.awaits_answer:",
        "if key is not None:",
    ),
    Mutation(
        "what has ended says nothing to who asks something of it",
        "engine/turns/sorting.py",
        "elif isinstance(message, CLIENT_MESSAGES):",
        "elif isinstance(message, RaiseEvent):",
    ),
    Mutation(
        "calls of the turn that ends an instance do not run",
        "engine/turns/orchestration.py",
        "        state.keep_last_calls(answer.actions)\n",
        "        state.keep_last_calls(())\n",
        tests="tests/integration/test_activity_behaviour.py",
    ),
    Mutation(
        "calls that nobody waited for run again after a crash",
        "engine/arrivals.py",
        "            state.keep_last_calls(decode_turn(loaded.turns[-1]))\n",
        "",
        tests="tests/integration/test_activity_behaviour.py",
    ),
    Mutation(
        "an event that does not fit is no dead letter",
        "engine/turns/effects.py",
        "    EventRefused: _event_refused,\n",
        "",
        tests="tests/integration/test_external_events.py",
    ),
    Mutation(
        "a child goes on when its call is given up",
        "engine/turns/effects.py",
        "    if action.child is not None:\n",
        "    if False:\n",
        tests="tests/integration/test_sub_orchestrations.py",
    ),
    Mutation(
        "the end of a tree stops at those that have ended",
        "engine/turns/sorting.py",
        "message.recurse and _is_handed_on(state, message):",
        "False:",
        tests="tests/integration/test_sub_orchestrations.py",
    ),
]


def is_noticed(mutation: Mutation, folder: Path) -> bool:
    """Whether a test turns red when the sources, copied there, are changed so."""
    for name in ("src", "tests", "bench"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    changed = folder / "src" / "tenuto" / mutation.file
    text = changed.read_text()
    if text.count(mutation.old) != 1:
        raise LookupError(f"{mutation.file} has this {text.count(mutation.old)} times, not once")
    changed.write_text(text.replace(mutation.old, mutation.new))
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-cov", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--timeout", str(SECONDS), mutation.tests],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{folder / 'src'}{os.pathsep}{folder}"},
        capture_output=True,
        check=False,
    )
    if done.returncode not in {0, 1}:
        raise ChildProcessError(done.stdout.decode()[-2000:])
    return done.returncode == 1


def main(arguments: list[str]) -> int:
    chosen = [int(one) for one in arguments] or range(1, len(MUTATIONS) + 1)
    survivors = 0
    for number in chosen:
        mutation = MUTATIONS[number - 1]
        with tempfile.TemporaryDirectory(prefix="tenuto-mutation-") as folder:
            noticed = is_noticed(mutation, Path(folder))
        survivors += not noticed
        print(f"{number:3} {'noticed ' if noticed else 'SURVIVES'}  {mutation.name}", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} noticed")
    return int(survivors > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
