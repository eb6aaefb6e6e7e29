"""Run the flows of examples/azure, in JavaScript and in Python, with the network off.

Each runs on the real engine and on virtual time, in which days pass in seconds, with the packages
of its language in workers of their own. Prints what came out, and fails when a result is wrong,
when time did not pass as it should, or when the two languages did not send the same messages.

    python -m tools.flows

The network is off for all of it: in a network namespace of its own where `unshare` may make one,
else by guards in each process that refuse every socket which leaves this machine.
"""

import asyncio
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from tenuto.interop.azure_app.program import AzureProgram
from tenuto.testing import RecordingObserver, TestHost
from tests.support.azure_programs import ROOT, azure_program, copied
from tools.known_flows import FLOWS, Flow

APPS: Final[Mapping[str, Path]] = {
    "JavaScript": ROOT / "examples" / "azure" / "flows_js",
    "Python": ROOT / "examples" / "azure" / "flows_python",
}
GUARDS: Final = ROOT / "tools" / "no_network"
NAMESPACES: Final = (("unshare", "--net"), ("unshare", "--map-root-user", "--net"))
NOWHERE: Final = ("192.0.2.1", 9)
"""An address of which RFC 5737 says that nobody has it."""
SECOND: Final = timedelta(seconds=1)
RESULT_WIDTH: Final = 74


@dataclass(frozen=True)
class Run:
    """What became of a flow in one language.

    Attributes:
        flow: Which.
        language: In which language.
        result: What it returned; the error's message when it failed.
        passed: The time from its start to its end on the virtual clock, in whole seconds: turns
            are a microsecond apart, and JavaScript rounds times up to milliseconds.
        turns: How often its orchestrators ran, those that it called included.
        problems: What the host complained about.
    """

    flow: Flow
    language: str
    result: object
    passed: timedelta
    turns: int
    problems: Sequence[object] = ()

    @property
    def faults(self) -> Iterator[str]:
        """What is wrong with it, in sentences."""
        name = f"{self.flow.title} in {self.language}"
        if self.result != self.flow.expected:
            expected, got = json.dumps(self.flow.expected), json.dumps(self.result)
            yield f"{name}: expected {expected}, got {got}"
        if self.passed != self.flow.passes:
            yield f"{name}: expected {self.flow.passes} to pass, got {self.passed}"
        for problem in self.problems:
            yield f"{name}: {problem}"


def run_flows(folder: Path, flows: Sequence[Flow] = FLOWS) -> list[Run]:
    """Run flows in both languages.

    Args:
        folder: Where they work: the apps are copied there, and what they send lies in
            ``outbox/LANGUAGE`` afterwards.
        flows: Which ones.
    """
    runs = []
    for language, app in APPS.items():
        outbox = folder / "outbox" / language
        program = azure_program(copied(app, folder), None, OUTBOX=str(outbox))
        try:
            runs += asyncio.run(_run_on(program, language, flows))
        finally:
            program.close()
    return runs


def messages(folder: Path, language: str) -> dict[str, str]:
    """What the flows of a language have sent: texts by the names of their files."""
    outbox = folder / "outbox" / language
    files = (file for file in outbox.rglob("*") if file.is_file())
    return {str(file.relative_to(outbox)): file.read_text("utf-8") for file in files}


def faults(runs: Sequence[Run], folder: Path) -> list[str]:
    """Everything that is not as it should be, in sentences; empty when all is well."""
    found = [fault for run in runs for fault in run.faults]
    one, other = (messages(folder, language) for language in APPS)
    found += [
        f"{name}: the two languages sent different messages, {one.get(name)!r} and "
        f"{other.get(name)!r}"
        for name in sorted(one.keys() | other.keys())
        if one.get(name) != other.get(name)
    ]
    return found


def table(runs: Sequence[Run]) -> str:
    """One line for each flow and language, flows together."""
    lines = [("flow", "language", "time passed", "turns", "result")]
    lines += [
        (
            run.flow.title,
            run.language,
            str(run.passed),
            str(run.turns),
            _shortened(json.dumps(run.result, ensure_ascii=False)),
        )
        for run in sorted(runs, key=lambda run: FLOWS.index(run.flow))
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def main(arguments: list[str]) -> int:
    """Run them with the network off, and say how they went."""
    if arguments[:1] != ["--network-off-by"]:
        return _with_the_network_off()
    if _is_network_there():
        print("flows: the network could not be switched off", file=sys.stderr)
        return 1
    logging.getLogger("tenuto").addHandler(logging.NullHandler())  # the table says what matters
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tenuto-flows-") as place:
        runs = run_flows(Path(place))
        code = say_how_they_went(runs, Path(place))
    passed = sum((run.passed for run in runs), timedelta())
    print(f"{len(runs)} runs, {passed.days} days in {time.monotonic() - began:.0f} seconds")
    print(f"the network was off, by {arguments[1]}")
    return code


def say_how_they_went(runs: Sequence[Run], folder: Path) -> int:
    """Print the table and whatever is wrong; the exit code says whether anything is."""
    print(table(runs))
    wrong = faults(runs, folder)
    for fault in wrong:
        print(f"WRONG: {fault}")
    return 1 if wrong else 0


async def _run_on(program: AzureProgram, language: str, flows: Sequence[Flow]) -> list[Run]:
    """One after the other on one host, so that workers are started once."""
    async with TestHost(program) as test:
        return [await _run(test, language, flow) for flow in flows]


async def _run(test: TestHost, language: str, flow: Flow) -> Run:
    observer = test.observer
    assert isinstance(observer, RecordingObserver)
    turns, problems = len(observer.turns), len(observer.problems)
    handle = await test.start(flow.orchestrator, flow.given)
    for event in flow.events:
        await test.advance(event.after)
        await handle.raise_event(event.name, event.data)
    status = await test.client.wait(handle.instance_id)
    assert status.completed_time is not None
    return Run(
        flow=flow,
        language=language,
        result=status.output if status.failure is None else status.failure.error_message,
        passed=timedelta(seconds=(status.completed_time - status.created_time) // SECOND),
        turns=len(observer.turns) - turns,
        problems=observer.problems[problems:],
    )


def _shortened(text: str) -> str:
    return text if len(text) <= RESULT_WIDTH else f"{text[: RESULT_WIDTH - 3]}..."


# --- the network --------------------------------------------------------------------------------


def _with_the_network_off() -> int:
    """Run this program once more, where no network is."""
    namespace = next(filter(_may_make, NAMESPACES), ())
    how = "a network namespace of its own" if namespace else "guards in each process"
    return subprocess.run(
        [*namespace, sys.executable, "-m", "tools.flows", "--network-off-by", how],
        cwd=ROOT,
        env=os.environ if namespace else guarded(os.environ),
        check=False,
    ).returncode


def _may_make(namespace: Sequence[str]) -> bool:
    if shutil.which(namespace[0]) is None:
        return False
    return subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode == 0


def guarded(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment in which each Python and each Node refuses to leave this machine."""
    places = [str(GUARDS), *filter(None, [environment.get("PYTHONPATH")])]
    options = [environment.get("NODE_OPTIONS", ""), f'--require "{GUARDS / "no_network.cjs"}"']
    return {
        **environment,
        "PYTHONPATH": os.pathsep.join(places),
        "NODE_OPTIONS": " ".join(options).strip(),
    }


def _is_network_there() -> bool:
    """Whether a packet could leave: asking for an address that nobody has tells it at once."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(NOWHERE)
        except OSError:
            return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
