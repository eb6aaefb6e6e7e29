"""Apps that can be run although something of them is odd: what they say, and what they do."""

import json
import re
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tenuto.cli.running.reloading import files_of_azure_app, stamps
from tenuto.interop.azure_app.program import ProgramOptions
from tenuto.testing import TestHost
from tests.interop.azure_app.folders import write
from tests.interop.test_bad_apps import (
    HOST,
    INTERPRETERS,
    NODE_HEAD,
    PYTHON_HEAD,
    SECRET,
    errors,
    http,
    made_of,
    node,
    python,
)
from tests.support.azure_programs import azure_program
from tests.support.ports import held_port
from tests.support.terminal import TENUTO, Program, tenuto

STORE = "sqlite:///tenuto.db"
_LONG_SECONDS = 20


@contextmanager
def serving(
    root: Path, *options: str, variables: Mapping[str, str] | None = None
) -> Iterator[tuple[Program, str]]:
    """A server on a port that is free, and its URL."""
    words = [*TENUTO, "start", ".", "--port", "0", *options]
    env = {**INTERPRETERS, **(variables or {})}
    with Program(root, *words, env=env) as command:
        command.until("(ready after")  # a debugger says that it is listening, too
        yield command, re.findall(r"listening +(\S+) ", command.out)[-1]
        command.send(signal.SIGINT)
        assert command.end() == 0
        assert SECRET not in command.out + command.err


def ask(method: str, url: str) -> tuple[int, Any]:
    request = urllib.request.Request(url, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def outcome(url: str, orchestrator: str) -> dict[str, Any]:
    """What becomes of an orchestration."""
    base = f"{url}/runtime/webhooks/durabletask"
    status, links = ask("POST", f"{base}/orchestrators/{orchestrator}")
    assert status == 202, links
    while True:
        _, found = ask("GET", f"{base}/instances/{links['id']}")
        if found["runtimeStatus"] in {"Completed", "Failed", "Terminated"}:
            return dict(found)
        time.sleep(0.02)


# --- mistakes of orchestrators --------------------------------------------------------------------

MISTAKEN = {
    "python": python(
        PYTHON_HEAD
        + """
def deep(levels):
    return [deep(levels - 1)] if levels else 1

@app.activity_trigger(input_name="given")
def echo(given):
    return given

@app.orchestration_trigger(context_name="context")
def fine(context):
    yield context.create_timer(context.current_utc_datetime)
    return "fine"

@app.orchestration_trigger(context_name="context")
def no_number(context):
    options = df.RetryOptions(10, 2)
    options._max_number_of_attempts = float("nan")
    yield context.call_activity_with_retry("echo", options, 1)

@app.orchestration_trigger(context_name="context")
def no_name(context):
    yield context.call_activity(5, 1)

@app.orchestration_trigger(context_name="context")
def too_deep(context):
    yield context.call_http("POST", "http://127.0.0.1:1/", deep(900))
"""
    ),
    "javascript": node(
        NODE_HEAD
        + """
const deep = (levels) => (levels ? [deep(levels - 1)] : 1);
df.app.activity('echo', { handler: (given) => given });
df.app.orchestration('fine', function* (context) {
    yield context.df.createTimer(context.df.currentUtcDateTime);
    return 'fine';
});
df.app.orchestration('no_time', function* (context) {
    yield context.df.createTimer(new Date('tomorrow'));
});
df.app.orchestration('no_number', function* (context) {
    yield context.df.callActivityWithRetry('echo', new df.RetryOptions(NaN, 2), 1);
});
df.app.orchestration('too_deep', function* (context) {
    yield context.df.callActivity('echo', deep(2000));
});
df.app.orchestration('no_method', function* (context) {
    yield context.df.callHttp({ url: 'http://127.0.0.1:1/' });
});
"""
    ),
}
REASONS = {
    "python": {
        "no_number": "not JSON compliant",
        "no_name": "call of activity with what does not belong there",
        "too_deep": "127.0.0.1",
    },
    "javascript": {
        "no_time": "a timer needs a time such as",
        "no_number": "call with retries of activity with what does not belong there",
        "too_deep": "nested deeper than this host can read",
        "no_method": "HTTP call with what does not belong there",
    },
}


@pytest.mark.parametrize("language", MISTAKEN)
def test_what_an_orchestrator_asks_for_by_mistake_fails_it_and_nothing_else(
    language: str, tmp_path: Path
) -> None:
    with serving(made_of(tmp_path / "app", MISTAKEN[language])) as (command, url):
        for orchestrator, reason in REASONS[language].items():
            found = outcome(url, orchestrator)
            assert (found["runtimeStatus"], reason in str(found["output"])) == ("Failed", True)
            assert outcome(url, "fine")["output"] == "fine"
        # Its worker has gone on all the time, and nobody was held.
        said = command.out + command.err
        assert "held" not in said
        assert "tried again" not in said


# --- what apps print ------------------------------------------------------------------------------

NOISY = {
    "python, much": python(
        "import sys\nsys.stdout.write('x' * 10_000_000 + '\\n')\n"
        + PYTHON_HEAD
        + http("hello")[0].replace('return "hello"', "print('y' * 10_000_000); return '\"hello\"'")
    ),
    "python, binary": python(
        "import os\nos.write(1, bytes(range(256)) * 40)\nos.write(2, b'\\xff\\x00\\x1b[2J')\n"
        + PYTHON_HEAD
        + http("hello")[0].replace(
            'return "hello"', "os.write(1, bytes(range(256))); return '\"hello\"'"
        )
    ),
    "javascript, much": node(
        "process.stdout.write('x'.repeat(10_000_000));\n"
        + NODE_HEAD
        + "app.http('hello', { handler() { console.log('y'.repeat(10_000_000)); "
        + "return { jsonBody: 'hello' }; }, authLevel: 'anonymous' });\n"
    ),
    "javascript, binary": node(
        "const all = Buffer.from([...Array(256).keys()]);\nprocess.stdout.write(all);\n"
        "process.stderr.write(Buffer.from([255, 0, 27, 91, 50, 74]));\n"
        + NODE_HEAD
        + "app.http('hello', { handler() { process.stdout.write(all); "
        + "return { jsonBody: 'hello' }; }, authLevel: 'anonymous' });\n"
    ),
}


@pytest.mark.parametrize("name", NOISY)
def test_what_an_app_prints_disturbs_nothing(name: str, tmp_path: Path) -> None:
    with serving(made_of(tmp_path / "app", NOISY[name])) as (command, url):
        assert ask("GET", f"{url}/api/hello") == (200, "hello")
        assert ask("GET", f"{url}/api/hello") == (200, "hello")
        assert not set(command.err) & {"\x1b", "\x00", "\x07"}


# --- entities -------------------------------------------------------------------------------------

ENTITIES = {
    "python": python(
        PYTHON_HEAD
        + """
@app.entity_trigger(context_name="context")
def counter(context): ...

@app.orchestration_trigger(context_name="context")
def calls(context):
    return (yield context.call_entity(df.EntityId("counter", "a"), "add", 1))

@app.orchestration_trigger(context_name="context")
def catches(context):
    try:
        yield context.call_entity(df.EntityId("counter", "a"), "add", 1)
    except Exception as error:
        return "caught: " + str(error)

@app.orchestration_trigger(context_name="context")
def signals(context):
    context.signal_entity(df.EntityId("counter", "a"), "add", 1)
    yield context.create_timer(context.current_utc_datetime)

@app.orchestration_trigger(context_name="context")
def does_not(context):
    yield context.create_timer(context.current_utc_datetime)
    return "done"
"""
    ),
    "javascript": node(
        NODE_HEAD
        + """
df.app.entity('counter', (context) => {});
const counter = new df.EntityId('counter', 'a');
df.app.orchestration('calls', function* (context) {
    return yield context.df.callEntity(counter, 'add', 1);
});
df.app.orchestration('signals', function* (context) {
    context.df.signalEntity(counter, 'add', 1);
    yield context.df.createTimer(context.df.currentUtcDateTime);
});
df.app.orchestration('does_not', function* (context) {
    yield context.df.createTimer(context.df.currentUtcDateTime);
    return 'done';
});
"""
    ),
}


@pytest.mark.parametrize("language", ENTITIES)
def test_an_app_with_entities_starts_and_only_their_calls_fail(
    language: str, tmp_path: Path
) -> None:
    refusal = "entities cannot be used on this host yet"
    with serving(made_of(tmp_path / "app", ENTITIES[language])) as (command, url):
        assert "function 'counter' is an entity: entities are not served yet" in command.err
        assert outcome(url, "does_not")["output"] == "done"
        for name in ("calls", "signals"):
            found = outcome(url, name)
            assert found["runtimeStatus"] == "Failed"
            assert refusal in json.dumps(found["output"])
        if language == "python":
            found = outcome(url, "catches")
            assert found["runtimeStatus"] == "Completed"
            assert found["output"].startswith("caught: ")
            assert refusal in found["output"]
        status, answer = ask("GET", f"{url}/runtime/webhooks/durabletask/entities/counter/a")
        assert status == 501
        assert "entit" in json.dumps(answer)


# --- azure-functions-durable 2 --------------------------------------------------------------------

NEWER = """
@app.generic_trigger(
    arg_name="context", type="orchestrationTrigger", durableRequiresGrpc=True
)
def newer(context): ...

@app.orchestration_trigger(context_name="context")
def older(context):
    yield context.create_timer(context.current_utc_datetime)
    return "done"
"""


def test_functions_of_another_protocol_are_said_and_refused_alone(tmp_path: Path) -> None:
    root = made_of(tmp_path / "app", python(PYTHON_HEAD + NEWER))
    with serving(root) as (command, url):
        assert "'newer' is of azure-functions-durable 2, whose protocol is not" in command.err
        assert outcome(url, "older")["output"] == "done"
        base = f"{url}/runtime/webhooks/durabletask"
        status, answer = ask("POST", f"{base}/orchestrators/newer")
        assert (status, "newer" in json.dumps(answer)) == (400, True)


# --- what is switched off -------------------------------------------------------------------------


def test_what_is_switched_off_may_have_any_binding(tmp_path: Path) -> None:
    text = (
        '@app.service_bus_queue_trigger(arg_name="m", queue_name="%No%", connection="c")\n'
        "def orders(m: func.ServiceBusMessage) -> None: ...\n"
    )
    files = python(PYTHON_HEAD + http("hello")[0].replace('"hello"\n', "'\"hello\"'\n") + text)
    local = {"Values": {"AzureWebJobs.orders.Disabled": True}}
    root = made_of(tmp_path / "app", files | {"local.settings.json": local})
    with serving(root) as (command, url):
        assert ask("GET", f"{url}/api/hello") == (200, "hello")
        command.until("orders: disabled by the setting AzureWebJobs.orders.Disabled")


# --- other commands ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [("run", "app:hello"), ("run", "app"), ("check-replay", "app"), ("run", "app/")]
)
def test_commands_for_native_apps_say_what_to_use_instead(
    words: tuple[str, str], tmp_path: Path
) -> None:
    made_of(tmp_path / "app", ENTITIES["python"])
    found = tenuto(tmp_path, *words, env=INTERPRETERS)
    assert (found.returncode, found.stdout) == (2, "")
    (error,) = errors(found.stderr)
    assert "is the folder of an Azure Functions app" in error
    assert "`tenuto start app" in error
    assert sorted(one.name for one in tmp_path.iterdir()) == ["app"]


@pytest.mark.parametrize("language", ENTITIES)
def test_the_doctor_finds_what_an_app_does_not_have(language: str, tmp_path: Path) -> None:
    root = made_of(tmp_path / "app", ENTITIES[language])
    with serving(root):
        pass
    for name in ("does_not", "elsewhere"):
        done = tenuto(root, "instances", "start", name, "--id", f"{name}-1", "--storage", STORE)
        assert done.returncode == 0, done.stderr
    found = tenuto(root, "doctor", "--app", ".", env=INTERPRETERS)
    assert found.returncode == 1, found.stderr
    assert re.search(r"elsewhere-1 .*: the app has no orchestrator 'elsewhere'", found.stdout)
    assert "no orchestrator 'does_not'" not in found.stdout
    assert "its code is not tried on what waits" in found.stdout
    assert SECRET not in found.stdout + found.stderr


# --- logging --------------------------------------------------------------------------------------

LOGS = {
    "python": python(
        PYTHON_HEAD
        + """
import logging

@app.route(route="quiet")
def quiet(req: func.HttpRequest) -> str:
    logging.info("quiet information")
    logging.warning("quiet warning")
    return '"done"'

@app.route(route="loud")
def loud(req: func.HttpRequest) -> str:
    logging.debug("loud detail")
    logging.info("loud information")
    return '"done"'
"""
    ),
    "javascript": node(
        NODE_HEAD
        + """
const authLevel = 'anonymous';
app.http('quiet', { authLevel, handler(request, context) {
    context.info('quiet information');
    context.warn('quiet warning');
    return { jsonBody: 'done' };
} });
app.http('loud', { authLevel, handler(request, context) {
    context.debug('loud detail');
    context.info('loud information');
    return { jsonBody: 'done' };
} });
"""
    ),
}


@pytest.mark.parametrize("language", LOGS)
def test_levels_of_host_json_hold_for_each_function(language: str, tmp_path: Path) -> None:
    levels = {"default": "Information", "Function.quiet.User": "Warning"}
    host = {**HOST, "logging": {"logLevel": levels}}
    root = made_of(tmp_path / "app", LOGS[language] | {"host.json": host})
    with serving(root) as (command, url):
        for name in ("quiet", "loud"):
            assert ask("GET", f"{url}/api/{name}") == (200, "done")
        for text in ("quiet warning", "loud information"):
            command.until(text)
        assert "quiet information" not in command.err
        assert "loud detail" not in command.err


# --- debuggers ------------------------------------------------------------------------------------


def test_a_debugger_finds_a_node_app_and_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    with held_port() as port:
        pass
    root = made_of(tmp_path / "app", LOGS["javascript"])
    with socket.socket() as line:
        with serving(root, "--inspect", str(port), "--verbose") as (_, url):
            (target,) = ask("GET", f"http://127.0.0.1:{port}/json/list")[1]
            assert target["type"] == "node"
            place = target["webSocketDebuggerUrl"].partition(str(port))[2]
            line.connect(("127.0.0.1", port))
            head = f"GET {place} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
            line.sendall(f"{head}Connection: Upgrade\r\n{key}\r\n".encode())
            line.settimeout(30)
            assert line.recv(1 << 16).startswith(b"HTTP/1.1 101 ")
            assert ask("GET", f"{url}/api/loud") == (200, "done")
            began = time.monotonic()
        assert time.monotonic() - began < _LONG_SECONDS


def test_a_debugger_finds_a_python_app_and_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    with held_port() as port:
        pass
    root = made_of(tmp_path / "app", LOGS["python"])
    with socket.socket() as line:
        with serving(root, "--inspect", str(port), "--verbose") as (_, url):
            line.connect(("127.0.0.1", port))
            line.settimeout(30)
            # The adapter speaks first, in the Debug Adapter Protocol.
            assert line.recv(1 << 16).startswith(b"Content-Length: ")
            assert ask("GET", f"{url}/api/loud") == (200, "done")
            began = time.monotonic()
        assert time.monotonic() - began < _LONG_SECONDS


SLOW = (
    NODE_HEAD
    + """
const spin = (seconds) => { for (const end = Date.now() + 1000 * seconds; Date.now() < end;); };
df.app.activity('rest', { handler: () => { spin(3); return 'rested'; } });
df.app.orchestration('flow', function* (context) {
    spin(3);
    return yield context.df.callActivity('rest');
});
"""
)


async def test_nothing_takes_too_long_while_a_debugger_may_attach(tmp_path: Path) -> None:
    """Somebody looks at a breakpoint for longer than a turn and a function may take."""
    host = {**HOST, "functionTimeout": "00:00:01"}
    root = made_of(tmp_path / "app", node(SLOW, **{"host.json": host}))
    options = ProgramOptions(turn_seconds=1.0, is_debugged=True)
    async with TestHost(azure_program(root, options)) as test:
        handle = await test.client.start("flow")
        assert await handle.result() == "rested"


@pytest.mark.parametrize("language", LOGS)
def test_a_port_that_is_taken_is_named_before_an_app_runs(language: str, tmp_path: Path) -> None:
    root = made_of(tmp_path / "app", LOGS[language])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        found = tenuto(root, "start", ".", "--port", "0", "--inspect", port, env=INTERPRETERS)
    assert found.returncode == 2
    (error,) = errors(found.stderr)
    assert error == (
        f"a debugger cannot attach at 127.0.0.1:{port}: Address already in use; choose another "
        "port: --inspect PORT"
    )


# --- starting anew --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "changes"),
    [
        ("javascript", ["src/functions/a.js", "host.json"]),
        ("python", ["function_app.py", "local.settings.json"]),
    ],
)
def test_a_change_of_a_file_of_the_app_starts_it_anew(
    language: str, changes: list[str], tmp_path: Path
) -> None:
    root = made_of(tmp_path / "app", LOGS[language])
    for name in ("dist/node_modules/x/index.js", ".venv/a.py", ".git/a.py", "data/rows.json"):
        write(root, {name: "{}"})
    words = [*TENUTO, "start", "app", "--port", "0", "--reload"]
    with Program(tmp_path, *words, env=INTERPRETERS) as command:
        command.until("listening ")
        for number, name in enumerate(changes, 2):
            # Had one of these counted, it would have started once more.
            for other in root.glob("**/*"):
                if {"x", ".venv", ".git", "data"} & set(other.relative_to(root).parts):
                    other.touch()
            path = root / name
            path.write_text(path.read_text() + "\n")
            command.until(f"{name} changed; starting anew")
            while command.out.count("listening ") < number:
                time.sleep(0.02)
        command.send(signal.SIGINT)
        assert command.end() == 0
        assert command.err.count("starting anew") == len(changes)


def test_what_is_built_counts_too(tmp_path: Path) -> None:
    watched = files_of_azure_app(tmp_path)
    write(tmp_path, {"dist/src/functions/a.js": "", "one/function.json": "{}", "src/a.ts": ""})
    assert set(stamps(watched)) == {"dist/src/functions/a.js", "one/function.json"}
