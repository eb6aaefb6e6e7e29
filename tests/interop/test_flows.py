"""What articles on Durable Functions teach gives the same in JavaScript and in Python, offline."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tenuto.testing import TestHost
from tests.support.azure_programs import NODE, ROOT, azure_program, copied
from tools.flows import APPS, faults, guarded, main, messages, run_flows, say_how_they_went
from tools.known_flows import FLOWS

OFF = "the network is off here"
ELSEWHERE = "192.0.2.1"  # nobody's, says RFC 5737
CONNECT = "require('node:net').connect(process.argv[2], process.argv[1])"
FETCH = (
    "fetch(`http://${process.argv[1]}:${process.argv[2]}`)"
    ".catch((error) => { console.error(error.cause); process.exit(1); })"
)
CONNECTIONS: dict[str, tuple[str | Path, ...]] = {
    "python": (
        sys.executable,
        "-c",
        "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)",
    ),
    "javascript": (NODE, "-e", CONNECT),
    "javascript that fetches": (NODE, "-e", FETCH),
}

JAVASCRIPT = """
const df = require('durable-functions');

df.app.activity('ask', { handler: () => fetch('http://192.0.2.1').catch((e) => String(e.cause)) });
df.app.orchestration('asking', function* (context) {
    return yield context.df.callActivity('ask', null);
});
"""
PYTHON = """
import socket

import azure.durable_functions as df

app = df.DFApp()


@app.activity_trigger(input_name="nothing")
def ask(nothing: str) -> str:
    try:
        socket.create_connection(("192.0.2.1", 80), 3)
    except OSError as error:
        return str(error)


@app.orchestration_trigger(context_name="context")
def asking(context):
    answer = yield context.call_activity("ask", "")
    return answer
"""
ASKING = {
    "javascript": {
        "app.js": JAVASCRIPT,
        "package.json": '{"main": "app.js", "dependencies": {"durable-functions": "3.5.0"}}',
    },
    "python": {"function_app.py": PYTHON},
}


def outcome(
    command: Sequence[str | Path], environment: dict[str, str] | None = None
) -> tuple[int, str]:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        encoding="utf-8",
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@contextmanager
def nobody_listening() -> Iterator[int]:
    """A port of this machine where connections are refused at once, by the machine itself."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


def test_each_flow_gives_the_same_in_both_languages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = run_flows(tmp_path)
    assert faults(runs, tmp_path) == []
    assert [(run.flow, run.language) for run in runs] == [
        (flow, language) for language in APPS for flow in FLOWS
    ]
    sent = messages(tmp_path, "JavaScript")
    assert sum(name.startswith("mail/") for name in sent) == 490
    assert sent["approvals/E-2-decision.txt"] == "rejected\n"
    assert say_how_they_went(runs, tmp_path) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(runs)


def test_what_is_wrong_is_said_and_is_the_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sequence = replace(FLOWS[0], expected={"order": "B-1"}, passes=timedelta(days=1))
    runs = run_flows(tmp_path, [FLOWS[0]])
    file = tmp_path / "outbox" / "Python" / "orders" / "A-17-paid.txt"
    file.write_text("91 EUR paid\n", "utf-8")
    (fault,) = faults(runs, tmp_path)
    assert fault.startswith("orders/A-17-paid.txt: the two languages sent different messages, ")
    assert fault.endswith("'92 EUR paid\\n' and '91 EUR paid\\n'")
    assert say_how_they_went(runs, tmp_path) == 1
    assert "WRONG: orders/A-17-paid.txt" in capsys.readouterr().out
    result, passed, problem = replace(runs[0], flow=sequence, problems=["it hangs"]).faults
    assert result == (
        'sequence in JavaScript: expected {"order": "B-1"}, '
        'got {"order": "A-17", "total": 92, "tracking": "T-A-17"}'
    )
    assert passed == "sequence in JavaScript: expected 1 day, 0:00:00 to pass, got 0:00:00"
    assert problem == "sequence in JavaScript: it hangs"


def test_they_run_with_the_network_off() -> None:
    code, said = outcome([sys.executable, "-m", "tools.flows"])
    assert code == 0, said
    assert "the network was off, by " in said


def test_they_run_with_guards_where_a_namespace_cannot_be_made() -> None:
    command = [sys.executable, "-m", "tools.flows", "--network-off-by", "guards"]
    code, said = outcome(command, guarded(os.environ))
    assert code == 0, said
    assert "the network was off, by guards" in said


def test_they_do_not_run_with_the_network_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.flows.NOWHERE", ("127.0.0.1", 9))  # can always be reached
    assert main(["--network-off-by", "nothing"]) == 1


@pytest.mark.parametrize("command", CONNECTIONS.values(), ids=CONNECTIONS)
def test_guards_refuse_what_leaves_this_machine_and_nothing_else(
    command: Sequence[str | Path],
) -> None:
    environment = guarded(os.environ)
    assert OFF in outcome([*command, ELSEWHERE, "80"], environment)[1]
    with nobody_listening() as port:
        _, said = outcome([*command, "127.0.0.1", str(port)], environment)
    assert "refused" in said.lower()
    assert OFF not in said


async def said_by_the_activity(root: Path) -> str:
    """What an activity of an app hears that asks for another machine, under guards."""
    guards = guarded(os.environ)
    variables = {name: guards[name] for name in ("PYTHONPATH", "NODE_OPTIONS")}
    program = azure_program(root, None, **variables)
    try:
        async with TestHost(program) as test:
            return str(await test.run("asking"))
    finally:
        program.close()


async def test_guards_reach_the_workers_of_apps(tmp_path: Path) -> None:
    for name, files in ASKING.items():
        app = tmp_path / name
        app.mkdir()
        for file, text in {"host.json": '{"version": "2.0"}', **files}.items():
            (app / file).write_text(text, "utf-8")
        assert OFF in await said_by_the_activity(copied(app, tmp_path / "copied"))
