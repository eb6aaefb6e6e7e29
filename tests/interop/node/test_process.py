"""The worker as a process: its pipe, its end, and what user code does to it."""

import http.client
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tenuto.interop.node import WORKER
from tenuto.interop.workers.frames import frame
from tenuto.interop.workers.protocol import (
    Call,
    Cancel,
    Datum,
    Hello,
    Http,
    Ping,
    Pong,
    Refused,
    Result,
    Stop,
    encode_to_worker,
)
from tests.interop.node.node_worker import (
    NODE,
    PACKAGES,
    ROOT,
    copied_app,
    loaded_worker,
    new_worker,
    written_app,
)
from tests.interop.node.scripted_host import ScriptedHost
from tests.support.worker_client import WorkerClient


@contextmanager
def running(folder: Path, **environment: Any) -> Iterator[tuple[WorkerClient, dict[str, str]]]:
    """A worker with an app, and the triggers of its functions."""
    with loaded_worker(copied_app("process", folder), **environment) as (worker, loaded):
        yield worker, {one.name: str(one.trigger["name"]) for one in loaded.functions}


def call(number: int, function: str, triggers: dict[str, str], text: str = "1") -> Call:
    given = {triggers[function]: Datum(string=text)}
    return Call(id=number, function=function, invocation=f"i{number}", inputs=given)


def test_the_greeting_says_who_it_is() -> None:
    with new_worker() as worker:
        hello, _ = worker.receive()

        assert isinstance(hello, Hello)
        assert (hello.protocol, hello.language) == (1, "javascript")
        assert hello.runtime.startswith("node 24.")
        assert hello.pid == worker.process.pid


def test_what_user_code_prints_stays_out_of_the_protocol(tmp_path: Path) -> None:
    with running(tmp_path) as (worker, triggers):
        worker.activity("prints", triggers["prints"], "\x00\x00\x00\x05 no frame")

        assert worker.stop() == (
            0,
            "loading\x00\x00\x00\x05 no frame\nending\n",
            "to the other stream\n",
        )


def test_answers_come_in_any_order(tmp_path: Path) -> None:
    with running(tmp_path) as (worker, triggers):
        worker.send(call(1, "held", triggers))
        worker.send(call(2, "echo", triggers))
        worker.send(Cancel(id=1))
        worker.send(call(3, "release", triggers))

        assert [worker.receive()[0].id for _ in range(3)] == [2, 3, 1]  # type: ignore[union-attr]


def test_a_ping_is_answered_beside_what_runs(tmp_path: Path) -> None:
    with running(tmp_path) as (worker, triggers):
        worker.send(call(1, "held", triggers))
        worker.send(Ping(id=5))

        assert worker.receive()[0] == Pong(id=5)


def test_stop_answers_what_runs_and_begins_nothing_more(tmp_path: Path) -> None:
    with running(tmp_path) as (worker, triggers):
        worker.send(call(1, "held", triggers))
        worker.send(call(2, "release", triggers))
        worker.send(Stop())
        worker.send(Stop())
        worker.send(call(3, "echo", triggers))

        answers = [worker.receive()[0] for _ in range(2)]
        assert answers == [Result(id=2), Result(id=1, value=Datum(json="1"))]
        with pytest.raises(AssertionError, match="closed the pipe"):
            worker.receive()
        assert worker.end()[0] == 0


def test_a_hook_that_fails_at_the_end_is_said_and_that_is_all(tmp_path: Path) -> None:
    with running(tmp_path, ENDS_BADLY="1") as (worker, _):
        worker.send(Stop())

        with pytest.raises(AssertionError, match="closed the pipe"):
            worker.receive()
        assert worker.end()[0] == 0
        [log] = worker.logs
        assert log.level == "error"
        assert log.text.startswith("A hook at the end has failed: Error: badly")


def test_a_closed_pipe_ends_the_worker_whatever_runs(tmp_path: Path) -> None:
    with running(tmp_path) as (worker, triggers):
        worker.send(call(1, "held", triggers))
        worker.send(Ping(id=5))
        worker.receive()
        worker._socket.close()

        assert worker.end()[0] == 0


def test_bodies_of_any_size_go_both_ways(tmp_path: Path) -> None:
    body = os.urandom(3_000_000)
    with running(tmp_path) as (worker, triggers):
        given = {triggers["big"]: Datum(http=Http(method="POST", url="http://h/"))}

        result, attachment = worker.call("big", body, inputs=given)

    assert isinstance(result, Result)
    assert attachment == body


def test_what_is_said_after_the_end_harms_no_answer(tmp_path: Path) -> None:
    body = os.urandom(3_000_000)
    with running(tmp_path, SAYS_MORE="1") as (worker, triggers):
        given = {triggers["big"]: Datum(http=Http(method="POST", url="http://h/"))}
        message = Call(id=1, function="big", invocation="i1", inputs=given)
        worker.send(message, body)
        worker.send(Stop())

        result, attachment = worker.receive()
        assert isinstance(result, Result)
        assert attachment == body
        assert worker.end()[0] == 0


def test_a_message_in_many_pieces_is_one_message(tmp_path: Path) -> None:
    with running(tmp_path) as (worker, triggers):
        text = frame(encode_to_worker(call(1, "echo", triggers, '"in pieces"')))
        for place in range(len(text)):
            worker._socket.sendall(text[place : place + 1])

        assert worker.receive()[0] == Result(id=1, value=Datum(string="in pieces"))


def test_what_is_no_frame_ends_the_worker_with_a_word(tmp_path: Path) -> None:
    with running(tmp_path) as (worker, _):
        worker._socket.sendall(b"\xff" * 8)

        with pytest.raises(AssertionError, match="closed the pipe"):
            worker.receive()
        assert worker.end()[0] == 1
        assert "that is no message" in worker.logs[-1].text


def test_programs_that_user_code_starts_do_not_get_the_pipe(tmp_path: Path) -> None:
    with ExitStack() as others:
        for _ in range(20):  # a host has many files open: the pipe has a high number
            others.enter_context(Path(os.devnull).open())
        worker, triggers = others.enter_context(running(tmp_path))
        answer = worker.activity("descriptors", triggers["descriptors"], "1")

    assert isinstance(answer, Result)
    assert answer.value is not None
    numbers = [line.split()[-3] for line in (answer.value.string or "").splitlines()[1:]]
    # The last is what `ls` itself reads.
    assert numbers == ["0", "1", "2", "3"]
    assert "/proc/" in (answer.value.string or "").splitlines()[-1]


def test_a_promise_that_nobody_waited_for_is_said_and_that_is_all(tmp_path: Path) -> None:
    with running(tmp_path) as (worker, triggers):
        worker.activity("rejects", triggers["rejects"], "1")
        worker.activity("echo", triggers["echo"], "1")

        [log] = worker.logs
        assert (log.level, log.is_user) == ("error", False)
        assert log.text.startswith(
            "A promise was rejected and nobody waited for it: RangeError: dropped"
        )
        assert "app.js" in log.text
        assert worker.stop()[0] == 0


def test_an_exception_that_nobody_caught_ends_the_worker_with_a_word(tmp_path: Path) -> None:
    with running(tmp_path) as (worker, triggers):
        worker.send(call(1, "throws_later", triggers))

        with pytest.raises(AssertionError, match="closed the pipe"):
            worker.receive()
        assert worker.end()[0] == 1
        [log] = worker.logs
        assert log.level == "critical"
        assert log.text.startswith(
            "An exception that nobody caught ends this worker: RangeError: thrown aside"
        )


def test_ctrl_c_is_for_the_host(tmp_path: Path) -> None:
    with running(tmp_path) as (worker, triggers):
        worker.process.send_signal(signal.SIGINT)

        assert isinstance(worker.activity("echo", triggers["echo"], "1"), Result)


def test_its_entry_can_be_parsed_by_an_old_node() -> None:
    script = """\
    const acorn = require('internal/deps/acorn/acorn/dist/acorn');
    acorn.parse(require('fs').readFileSync(process.argv[1], 'utf8'), { ecmaVersion: 5 });
    """
    command = [str(NODE), "--expose-internals", "-e", textwrap.dedent(script), "--", str(WORKER)]
    subprocess.run(command, check=True, capture_output=True, text=True)


def test_a_node_that_is_too_old_refuses_the_app_itself(tmp_path: Path) -> None:
    old = tmp_path / "old.js"
    old.write_text("Object.defineProperty(process, 'versions', { value: { node: '18.20.8' } });")

    with new_worker(NODE_OPTIONS=f"--require {old}") as worker:
        answer = worker.load(tmp_path)

        assert isinstance(answer, Refused)
        assert answer.message == (
            f"This app needs Node 20 or newer, and {NODE.resolve()} is Node 18.20.8. "
            "Install a newer Node, or put one earlier on the PATH."
        )
        assert worker.end() == (1, "", "")


def test_an_app_runs_on_the_systems_node(tmp_path: Path) -> None:
    counters = tmp_path / "counters"
    counters.mkdir()
    app = copied_app("matrix", tmp_path)
    with loaded_worker(app, node="node", MATRIX_COUNTERS=str(counters)) as (worker, loaded):
        hello = ScriptedHost(worker, loaded).run("hello")
        retried = ScriptedHost(worker, loaded).run("retry_ok", instance="retried")
        code, _, _ = worker.stop()

    assert hello.value == ["Hello Tokyo!", "Hello Seattle!", "Hello London!"]
    assert hello.turns[0].is_kept
    assert retried.value == ["ok after 3", "z"]
    assert code == 0


def test_an_app_that_streams_takes_the_request_itself(tmp_path: Path) -> None:
    with loaded_worker(copied_app("streaming", tmp_path)) as (worker, loaded):
        assert loaded.http_uri is not None
        trigger = str(loaded.functions[0].trigger["name"])
        worker.send(
            Call(
                id=1,
                function="upper",
                invocation="stream-1",
                inputs={trigger: Datum(http=Http(method="POST", url="http://host/api/upper/7"))},
                metadata={"id": "7", "Headers": {"content-type": "text/plain"}},
            )
        )
        connection = http.client.HTTPConnection(loaded.http_uri.removeprefix("http://").strip("/"))
        headers = {
            "x-ms-invocation-id": "stream-1",
            "x-forwarded-host": "host",
            "x-forwarded-proto": "http",
        }
        connection.request("POST", "/api/upper/7", body=b"in a stream", headers=headers)
        answer = connection.getresponse()

        assert (answer.status, answer.headers["x-own"]) == (202, "1")
        assert answer.read() == b"7 IN A STREAM"
        assert worker.receive()[0] == Result(id=1)
        connection.close()


def test_a_worker_whose_loop_is_held_up_ends_when_its_host_is_killed(tmp_path: Path) -> None:
    """No closed pipe is seen then: a thread beside it looks who its parent is."""
    text = """
        const df = require('durable-functions');
        df.app.activity('holds_up', { handler: () => { console.log('held up'); for (;;); } });
    """
    written_app(tmp_path, {"package.json": '{"main": "app.js"}', "app.js": text})
    (tmp_path / "node_modules").symlink_to(PACKAGES)
    host = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from tenuto.interop.workers.protocol import Call
        from tests.interop.node.node_worker import loaded_worker

        with loaded_worker(Path({str(tmp_path)!r})) as (worker, _):
            worker.send(Call(1, "holds_up", "i"))
            print(worker.process.pid, flush=True)
            worker.receive()
    """)
    with subprocess.Popen(
        [sys.executable, "-c", host], stdout=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        while not is_busy(pid):
            time.sleep(0.01)
        process.kill()
    until = time.monotonic() + 20
    while is_alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    is_left = is_alive(pid)
    if is_left:
        os.kill(pid, signal.SIGKILL)
    assert not is_left


def is_alive(pid: int) -> bool:
    """Whether the process runs; one whose new parent has not asked how it ended does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def is_busy(pid: int) -> bool:
    """Whether its main thread has run for a second: it is held up by then."""
    fields = Path(f"/proc/{pid}/task/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return int(fields[11]) / os.sysconf("SC_CLK_TCK") > 1
