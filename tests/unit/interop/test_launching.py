"""Starting worker processes, their frames, and what is logged of them."""

import asyncio
import logging
import os
import struct
import sys
from pathlib import Path

import pytest
from msgspec import structs

from tenuto.interop.workers import quarantine
from tenuto.interop.workers.errands import CallErrand
from tenuto.interop.workers.frames import MOST_BYTES, FrameReader, frame
from tenuto.interop.workers.launching import Launch, StartedWorker, decoded, log_line
from tenuto.interop.workers.options import PoolOptions
from tenuto.interop.workers.protocol import Call, Failed, FunctionFacts, Log, Result
from tenuto.model.errors import AppLoadError, WorkerProtocolError
from tests.support.pools import asked
from tests.support.scripted_programs import scripted_launch
from tests.support.waiting import until

SPEAKS = """
import json, socket, struct, sys, os
pipe = socket.socket(fileno=int(sys.argv[-1]))
def say(**message):
    text = json.dumps(message).encode()
    pipe.sendall(struct.pack(">II", len(text), 0) + text)
hello = dict(type="hello", protocol=1, language="none", runtime="none", pid=os.getpid())
"""


def speaking(folder: Path, text: str, seconds: float = 30) -> Launch:
    """A worker that is a few lines of Python."""
    (folder / "worker.py").write_text(SPEAKS + text)
    return Launch(
        what="small worker",
        command=[sys.executable, "-S", str(folder / "worker.py")],
        environment=dict(os.environ),
        root=str(folder),
        load_seconds=seconds,
    )


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("say(type='pong', id=1)", WorkerProtocolError, "did not say hello"),
        ("hello['protocol'] = 2; say(**hello)", WorkerProtocolError, "speaks version 2"),
        ("say(**hello); say(type='pong', id=1); pipe.recv(9)", WorkerProtocolError, "what it has"),
        ("pipe.sendall(bytes([0, 0, 0, 1, 0, 0, 0, 0, 9]))", WorkerProtocolError, "no message"),
        ("pipe.sendall(bytes([255] * 8))", WorkerProtocolError, "that is no message"),
        ("sys.exit(3)", AppLoadError, "ended while it loaded the app in .*: exit code 3"),
        ("os.kill(os.getpid(), 9)", AppLoadError, "ended by SIGKILL, as when memory is short"),
        ("os.kill(os.getpid(), 34)", AppLoadError, "ended by signal 34|ended by SIGRTMIN"),
        ("say(**hello); pipe.close()", AppLoadError, "ended while it loaded"),
        (
            (
                "say(**hello); say(type='log', text='x'); say(type='refused', message='no good', "
                "file='a.py', line=4, stack='deep'); pipe.recv(9)"
            ),
            AppLoadError,
            "^a.py:4: no good$",
        ),
        (
            "say(**hello); say(type='refused', message='no good', file='a.py'); pipe.recv(9)",
            AppLoadError,
            "^a.py: no good$",
        ),
        ("say(**hello); say(type='refused', message='bad'); pipe.recv(9)", AppLoadError, "^bad$"),
    ],
)
def test_a_worker_that_cannot_be_used_is_refused(
    tmp_path: Path, text: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        StartedWorker(speaking(tmp_path, text))


def test_a_worker_that_is_long_in_coming_is_given_up(tmp_path: Path) -> None:
    launch = speaking(tmp_path, "pipe.recv(1)", seconds=0.2)
    with pytest.raises(AppLoadError, match=r"was not loaded within 0\.2 s"):
        StartedWorker(launch)


def test_a_worker_that_says_hello_late_is_waited_for(tmp_path: Path) -> None:
    worker = StartedWorker(scripted_launch(tmp_path, HELLO_SECONDS="0.6"))
    assert worker.hello.protocol == 1
    worker.kill()


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    launch = structs.replace(scripted_launch(tmp_path), command=["/no/such/program"])
    with pytest.raises(AppLoadError, match=r"cannot be started: No such file .*: /no/such/program"):
        StartedWorker(launch)


def test_a_worker_that_closes_its_pipe_and_goes_on_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "say(**hello); pipe.close(); import time; time.sleep(60)"
    with pytest.raises(AppLoadError, match="it closed its pipe and goes on"):
        StartedWorker(speaking(tmp_path, text))


def test_what_an_app_prints_and_says_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(AppLoadError):
        StartedWorker(speaking(tmp_path, "print('out'); print(); print('err', file=sys.stderr)"))
    assert {"out", "err"} <= {one.getMessage() for one in caplog.records}
    log_line(Log("mine", "warning", "inv", "fn", is_user=True))
    log_line(Log("of an instance", "error", "order/7/3", "fn", is_user=True))
    log_line(Log("its own", "odd"))
    said = {one.getMessage(): one for one in caplog.records}
    mine, of_one, own = said["mine"], said["of an instance"], said["its own"]
    assert of_one.__dict__["instance_id"] == "order/7"
    assert (mine.name, mine.levelname, mine.__dict__["invocation"]) == (
        "tenuto.app.fn",
        "WARNING",
        "inv",
    )
    assert (own.name, own.levelname) == ("tenuto.worker", "DEBUG")


def test_frames_come_in_any_pieces() -> None:
    data = frame(b"one") + frame(b"two", b"\x00\x01") + frame(b"")
    for size in (1, 3, 8, len(data)):
        reader = FrameReader()
        found = []
        for at in range(0, len(data), size):
            found += list(reader.feed(data[at : at + size]))
        assert found == [(b"one", b""), (b"two", b"\x00\x01"), (b"", b"")]
    reader = FrameReader()
    assert not list(reader.feed(b"\x00"))
    assert list(reader.feed(frame(b"one")[1:])) == [(b"one", b"")]
    with pytest.raises(WorkerProtocolError, match="announced a message"):
        list(FrameReader().feed(struct.pack(">II", MOST_BYTES, 1)))
    with pytest.raises(WorkerProtocolError, match="no message"):
        decoded(FrameReader(), frame(b"[]"))


DEEP = b"[" * 5_000 + b"]" * 5_000


@pytest.mark.parametrize(
    "text",
    [
        b'{"type":"turned","id":7,"isDone":false,"actions":[%s]}' % DEEP,
        b'{"type":"turned","isDone":false,"actions":[{"id":8},%s],"id" : 7}' % DEEP,
        b'{"error":"\\"id\\":9,}","output":"id","type":"turned","actions":[%s],"id":7,"a":1}'
        % DEEP,
    ],
)
def test_what_is_nested_too_deep_is_the_failure_of_what_it_answers(text: bytes) -> None:
    [(found, _), (log, _)] = decoded(
        FrameReader(), frame(text) + frame(b'{"type":"log","text":"x"}')
    )
    assert isinstance(found, Failed)
    assert (found.id, found.error_type) == (7, "RecursionError")
    assert "nested deeper than this host can read" in found.message
    assert log == Log("x")


@pytest.mark.parametrize("number", [b"{}", b'"7"', b"7.5", b"1" * 30])
def test_what_is_nested_too_deep_and_answers_nothing_is_no_message(number: bytes) -> None:
    text = b'{"type":"turned","isDone":false,"actions":[%s],"id":%s}' % (DEEP, number)
    with pytest.raises(WorkerProtocolError, match="nested too deep"):
        decoded(FrameReader(), frame(text))


def test_a_function_without_a_trigger_has_none() -> None:
    assert FunctionFacts("f", [{"type": "http"}]).trigger == {}


async def test_suspects_that_run_for_long_keep_no_other_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "_AT_ONCE", 1)
    async with asked(tmp_path, PoolOptions()) as one:
        gate = tmp_path / "gate"
        first, first_over = one.errand("gate", f'"{gate}"')
        second, second_over = one.errand("echo")
        one.pool._quarantine.add([first])
        one.pool._quarantine.add([second])
        await until(lambda: bool(first.link))
        assert len(one.pool._quarantine.links) == 1
        assert not second_over.done()
        monkeypatch.setattr(quarantine, "_SLICE", 10_000)  # the first has run for longer
        assert isinstance(await second_over, Result)
        assert second.link is not first.link
        gate.touch()
        assert isinstance(await first_over, Result)
        # Nobody is suspected any more: their workers go.
        links = one.pool._quarantine.links
        await until(lambda: all(link.is_gone for link in links))
        assert not one.pool._quarantine.links
        assert not set(links) & set(one.pool.links)


async def test_a_suspect_waits_until_there_can_be_a_worker_for_it(tmp_path: Path) -> None:
    async with asked(tmp_path, launch=scripted_launch(tmp_path, DIES_AFTER_STARTS="1")) as one:
        suspect, over = one.errand("echo")
        one.pool._quarantine.add([suspect])
        assert not one.pool._quarantine.links
        await asyncio.to_thread((tmp_path / "starts").write_text, "")
        assert isinstance(await over, Result)


async def test_a_worker_for_suspects_that_comes_as_the_host_ends_is_ended(tmp_path: Path) -> None:
    async with asked(tmp_path, launch=scripted_launch(tmp_path)) as one:
        suspect = CallErrand(Call(0, "echo", "i"), b"", lambda *_: None, lambda: None, None)
        one.pool._quarantine.add([suspect])
    assert not one.pool._quarantine.links
